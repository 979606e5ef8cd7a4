"""``logme``: maximum evidence of a Bayesian linear model of the labels."""

import numpy as np
import scipy.linalg

from layerfuse.core.arrays import ClassIndices, Features
from layerfuse.core.ridge import one_hot, present_classes
from layerfuse.score.gram import ROWS, gram, noise_floor
from layerfuse.score.info import CriterionInfo, by_layer

_MAX_STEPS = 1000
_TOLERANCE = 1e-7  # relative, of alpha / beta; at a maximum the evidence changes by its square
_FARTHEST = 1e9  # largest ratio of alpha / beta to the largest s_k, and of s_k to alpha / beta
_N_STARTS = 73  # four per factor of ten
_TINY = 1e-12  # smallest squared residual per text, reached if a feature equals the label


def logme(features: Features, labels: ClassIndices) -> float:
    """Return the logarithm of the maximum evidence, per text, averaged over classes.

    For each class, y is a column of 0 and 1, and y = F w + noise, with w ~ N(0, 1/alpha) and
    noise ~ N(0, 1/beta). With squared singular values s_k of F, left singular vectors u_k, and
    t = alpha / beta,

        2 log p(y | F) = n log(beta / 2 pi) - sum_k log(1 + s_k / t) - beta r - alpha m,
        r = ||y||^2 - sum_k (u_k'y)^2 + sum_k (u_k'y)^2 (t / (t + s_k))^2,
        m = sum_k (u_k'y)^2 s_k / (t + s_k)^2.

    MacKay's fixed-point iteration, alpha = g / m and beta = (n - g) / r with
    g = sum_k s_k / (t + s_k), finds a maximum. Each class starts at the best of several t around
    the largest s_k, each with its best beta. The reason is that there may be two maxima if all
    texts share a large mean; from alpha = beta = 1, as published, the unit of the features decides
    which is found. Higher is better.

    Parameters
    ----------
    features : array of shape (text, feature)
        One layer, neither centred nor scaled, as published.
    labels : int array of shape (text,)
        Class indices, at least two distinct.

    Returns
    -------
    float
        Nats per text; comparable between layers of the same texts.

    Raises
    ------
    LabelError
        If all labels are the same.

    Notes
    -----
    One eigendecomposition of the smaller Gram matrix, in double precision, serves all classes.
    Directions with s_k = 0 contribute nothing, so width is not penalised, and more features than
    texts need no special case.

    Source
    ------
    You et al. 2021, arXiv:2102.11005, equation 2 and algorithm 1.
    """
    targets = one_hot(present_classes(labels))
    n_texts, width = features.shape
    products, sums = gram(features, centre=False), targets
    if width <= n_texts:
        sums = np.zeros((width, targets.shape[1]))
        for start in range(0, n_texts, ROWS):
            part = slice(start, start + ROWS)
            sums += features[part].astype(np.float64).T @ targets[part]
    eigenvalues, vectors = scipy.linalg.eigh(products, driver="evd", overwrite_a=True)
    keep = eigenvalues > noise_floor(eigenvalues)
    squares, projected = eigenvalues[keep, None], np.square(vectors[:, keep].T @ sums)
    if width <= n_texts:
        projected /= squares
    rest = np.maximum(targets.sum(0) - projected.sum(0), 0.0)
    return float(_max_evidence(squares, projected, rest, n_texts).mean())


def _max_evidence(
    squares: np.ndarray, projected: np.ndarray, rest: np.ndarray, n_texts: int
) -> np.ndarray:
    """Return the maximum log evidence per text (class,).

    The arguments are squared singular values (component, 1), squared projections of the targets
    (component, class), and the squared norm of the targets outside the features (class,).
    """
    data = squares, projected, rest, n_texts
    top = float(squares.max(initial=0.0)) or 1.0
    starts = top * np.logspace(-np.log10(_FARTHEST), np.log10(_FARTHEST), _N_STARTS)
    ratio = starts[np.argmax([_evidence(np.full(len(rest), start), *data) for start in starts], 0)]
    for _ in range(_MAX_STEPS):
        residual, size = _misfit(ratio, *data)
        used = (squares / (ratio + squares)).sum(0)
        before, ratio = ratio, (used / size) * (residual / (n_texts - used))
        # The ratio goes to infinity if features explain nothing of the labels, to 0 if everything.
        ratio = np.clip(ratio, top / _FARTHEST, top * _FARTHEST)
        if np.all(np.abs(ratio - before) <= _TOLERANCE * before):
            break
    return _evidence(ratio, *data)


def _evidence(
    ratio: np.ndarray, squares: np.ndarray, projected: np.ndarray, rest: np.ndarray, n_texts: int
) -> np.ndarray:
    """Return the log evidence per text for given alpha / beta and its best beta, (class,)."""
    residual, size = _misfit(ratio, squares, projected, rest, n_texts)
    noise = (residual + ratio * size) / n_texts  # 1 / beta
    shrunk = np.log1p(squares / ratio).sum(0) / n_texts
    return np.asarray(-(np.log(2 * np.pi * noise) + shrunk + 1) / 2)


def _misfit(
    ratio: np.ndarray, squares: np.ndarray, projected: np.ndarray, rest: np.ndarray, n_texts: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the squared residual and the squared size of the weights, each (class,)."""
    by_direction = projected / np.square(ratio + squares)
    residual = rest + (by_direction * np.square(ratio)).sum(0)
    size = (by_direction * squares).sum(0)
    return np.maximum(residual, _TINY * n_texts), np.maximum(size, np.finfo(float).tiny)


LOGME = CriterionInfo(
    name="logme",
    needs=frozenset({"labels"}),
    cost="O(n d min(n, d) + min(n, d)^3)",
    source="You et al. 2021, arXiv:2102.11005",
    summary="maximum evidence of a Bayesian linear model of the labels",
    scorer=by_layer(logme),
)
