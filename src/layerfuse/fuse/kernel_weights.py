"""One weight per source: ridge regression with several kernels, judged by leave-one-out."""

import numpy as np
import scipy.linalg
from scipy.optimize import minimize
from scipy.special import softmax

from layerfuse.core.arrays import Block
from layerfuse.core.ridge import one_hot, ridge_path
from layerfuse.core.sample import sample_texts
from layerfuse.core.supervision import Supervision

_SEEN_TEXTS = 768  # every step of the search inverts a matrix of this size: seconds in all
_PRIOR_TEXTS = 2.0  # what a prior belief in equal weights counts


def kernel_weights(fused: Block, owners: np.ndarray, supervision: Supervision) -> np.ndarray:
    """Return weights of sources, (source,), that sum to 1.

    The kernel is the sum over sources of weight times inner product. Minimised is
    n / 2 * log(mean squared leave-one-out error) - 2 * sum(log weight): the profile likelihood of
    held-out targets and a Dirichlet prior, which pulls towards equal weights, hard where texts are
    few. The search starts there; the overall size of the kernel, which stands for the penalty, is
    free.

    Parameters
    ----------
    fused : float32 array of shape (text, feature)
        The sources beside each other, scaled so that the inner products of each count the same.
    owners : int array of shape (feature,)
        Which source a feature belongs to, 0 .. n_sources - 1.
    supervision : Supervision
        At most 768 of the texts are looked at, one of each group and class.

    Returns
    -------
    float64 array of shape (source,)
        Equal weights where nothing varies.

    Source
    ------
    Leave-one-out likelihood of kernels: Rasmussen and Williams 2006, *Gaussian Processes for
    Machine Learning*, section 5.4.2.
    """
    n_sources = int(owners.max()) + 1
    distinct = supervision.distinct()
    labels = supervision.labels[distinct]
    rows = distinct[sample_texts(labels, _SEEN_TEXTS, supervision.random_state)]
    known = supervision.of_texts(rows)
    shares = known.weights / known.weights.sum()
    roots = np.sqrt(shares * len(rows))[:, None]
    seen = fused[rows]
    sources = (seen[:, owners == source] for source in range(n_sources))
    centred = [roots * (one - shares @ one) for one in sources]
    if n_sources == 1 or not any(one.any() for one in centred):
        return np.full(n_sources, 1 / n_sources)
    kernels = np.stack([one @ one.T for one in centred])
    targets = one_hot(known.labels)
    penalty, _ = ridge_path(seen, weights=known.weights).best(targets)
    targets = roots * (targets - shares @ targets)

    def loss_and_gradient(logs: np.ndarray) -> tuple[float, np.ndarray]:
        error, slopes = _loo_error(kernels, np.exp(logs), targets, penalty, shares)
        weights = softmax(logs)
        prior = _PRIOR_TEXTS * float(np.log(weights * n_sources).sum())
        loss = len(rows) / 2 * np.log(error) - prior
        slope = len(rows) / 2 / error * slopes * np.exp(logs)
        return loss, slope - _PRIOR_TEXTS * (1 - n_sources * weights)

    found = minimize(
        loss_and_gradient,
        np.zeros(n_sources),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-15.0, 15.0)] * n_sources,
        options={"maxiter": 25},
    )
    return np.asarray(softmax(found.x))


def _loo_error(
    kernels: np.ndarray,
    sizes: np.ndarray,
    targets: np.ndarray,
    penalty: float,
    shares: np.ndarray,
) -> tuple[float, np.ndarray]:
    """Return the mean squared leave-one-out error, and its slope in the size of each kernel.

    With C = (K + a I)^-1: residual a C y over a C_ii - share_i, the latter for the intercept.
    """
    n_texts = len(targets)
    kernel = np.tensordot(sizes, kernels, axes=1)
    kernel[np.diag_indices(n_texts)] += penalty
    inverse = scipy.linalg.inv(kernel, overwrite_a=True, check_finite=False)
    solved = inverse @ targets
    room = np.maximum(penalty * np.diag(inverse) - shares, 1e-6)
    errors = penalty * solved / room[:, None]
    by_solved = 2 * penalty * errors / room[:, None] / n_texts
    by_diagonal = -2 * penalty * np.square(errors).sum(1) / room / n_texts
    # d C = -C dK C, so that both slopes meet dK in one matrix.
    met = inverse @ (by_solved @ solved.T + by_diagonal[:, None] * inverse)
    slopes = -np.tensordot(kernels, met, axes=([1, 2], [0, 1]))
    return float(np.square(errors).sum() / n_texts), slopes
