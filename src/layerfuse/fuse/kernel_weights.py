"""One weight per source, by leave-one-out ridge regression with several kernels."""

import numpy as np
import scipy.linalg
from scipy.optimize import minimize
from scipy.special import softmax

from layerfuse.core.arrays import Block
from layerfuse.core.ridge import one_hot, ridge_path
from layerfuse.core.sample import sample_texts
from layerfuse.core.supervision import Supervision

_SEEN_TEXTS = 768  # every step of the search inverts a matrix of this size; seconds in all
_PRIOR_TEXTS = 2.0  # strength of the Dirichlet prior, which favours equal weights


def kernel_weights(fused: Block, owners: np.ndarray, supervision: Supervision) -> np.ndarray:
    """Return weights of sources, (source,), that sum to 1.

    The kernel is the sum over sources of weight times inner product. The weights minimise
    n / 2 * log(mean squared leave-one-out error) - 2 * sum(log weight). The first term is the
    negative profile log likelihood of held-out targets. The second is a Dirichlet prior, which
    shrinks towards equal weights, strongly if texts are few. The search starts at equal weights.
    The overall size of the kernel, which stands for the penalty, is free.

    Parameters
    ----------
    fused : float32 array of shape (text, feature)
        The concatenated sources, scaled so that the inner products of each count equally.
    owners : int array of shape (feature,)
        Source of each feature, 0 .. n_sources - 1.
    supervision : Supervision
        Labels, weights and groups. At most 768 texts are used, one of each group and class.

    Returns
    -------
    float64 array of shape (source,)
        The weights; equal if nothing varies.

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

    optimum = minimize(
        loss_and_gradient,
        np.zeros(n_sources),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-15.0, 15.0)] * n_sources,
        options={"maxiter": 25},
    )
    return np.asarray(softmax(optimum.x))


def _loo_error(
    kernels: np.ndarray,
    sizes: np.ndarray,
    targets: np.ndarray,
    penalty: float,
    shares: np.ndarray,
) -> tuple[float, np.ndarray]:
    """Return the mean squared leave-one-out error, and its derivative by the size of each kernel.

    With C = (K + a I + b s s')^-1 and s the square roots of the shares, the residual is
    (C y)_i / (C_ii - share_i / (a + b)). K and y are centred, so b, which stands for the intercept,
    changes nothing but the rounding. Without it, C_ii and share_i / a would be nearly equal where a
    is small beside K, and where features outnumber texts the search goes there.
    """
    n_texts = len(targets)
    kernel = np.tensordot(sizes, kernels, axes=1)
    intercept = float(np.trace(kernel)) / n_texts
    roots = np.sqrt(shares)
    kernel += intercept * np.outer(roots, roots)
    kernel[np.diag_indices(n_texts)] += penalty
    inverse = scipy.linalg.inv(kernel, overwrite_a=True, check_finite=False)
    solved = inverse @ targets
    diagonal = np.diag(inverse)
    room = np.maximum(diagonal - shares / (penalty + intercept), 1e-9 * diagonal)
    errors = solved / room[:, None]
    by_solved = 2 * errors / room[:, None] / n_texts
    by_diagonal = -2 * np.square(errors).sum(1) / room / n_texts
    # Since dC = -C dK C, one matrix is the derivative by K through both terms.
    by_kernel = inverse @ (by_solved @ solved.T + by_diagonal[:, None] * inverse)
    slopes = -np.tensordot(kernels, by_kernel, axes=([1, 2], [0, 1]))
    return float(np.square(errors).sum() / n_texts), slopes
