"""``hscore``: between-class variance relative to a regularised covariance of the features."""

import numpy as np
import scipy.linalg

from layerfuse.core.arrays import ClassIndices, Features
from layerfuse.core.ridge import one_hot, present_classes
from layerfuse.score.info import CriterionInfo, by_layer

_JITTER = 1e-10  # relative to the mean variance; inverts a singular covariance without shrinkage


def hscore(features: Features, labels: ClassIndices) -> float:
    """Return the H-score with the shrunk covariance of Ledoit and Wolf.

    For centred features with covariance S over n texts, mean variance v = tr(S) / d, class means
    m_c and shares q_c,

        H = (1 - a) tr( ((1 - a) S + a v I)^-1 sum_c q_c m_c m_c' ),

    where the shrinkage a in 0 .. 1 minimises the expected squared error. Higher is better: classes
    differ along directions in which texts of a class vary little. At most C - 1.

    Parameters
    ----------
    features : array of shape (text, feature)
        One layer; centred here, not scaled.
    labels : int array of shape (text,)
        Class indices, at least two distinct.

    Returns
    -------
    float
        0 for a constant layer.

    Raises
    ------
    LabelError
        If all labels are the same.

    Source
    ------
    Bao et al. 2019, H-score; regularised by Ibrahim, Ponomareva and Mazumder 2022,
    arXiv:2110.06893. Ledoit and Wolf 2004, lemma 3.4, for the shrinkage.
    """
    targets = one_hot(present_classes(labels))
    n_texts, width = features.shape
    centred = features - features.mean(0, dtype=np.float64)
    covariance = centred.T @ centred / n_texts
    variance = float(np.trace(covariance)) / width
    if variance <= 0:
        return 0.0
    shrinkage = _ledoit_wolf(centred, covariance, variance)
    shrunk = (1 - shrinkage) * covariance
    shrunk[np.diag_indices(width)] += (shrinkage + _JITTER) * variance
    means = (centred.T @ targets) / np.sqrt(n_texts * targets.sum(0))
    whitened = scipy.linalg.cho_solve(scipy.linalg.cho_factor(shrunk, lower=True), means)
    return float((1 - shrinkage) * (means * whitened).sum())


def _ledoit_wolf(centred: Features, covariance: np.ndarray, variance: float) -> float:
    """Return the shrinkage, 0 .. 1, of a covariance towards a multiple of the identity."""
    n_texts = len(centred)
    size = float(np.square(covariance).sum())
    distance = size - len(covariance) * variance**2
    scatter = float(np.square(np.square(centred).sum(1)).sum()) / n_texts - size
    return min(max(scatter / n_texts, 0.0) / distance, 1.0) if distance > 0 else 1.0


HSCORE = CriterionInfo(
    name="hscore",
    needs=frozenset({"labels"}),
    cost="O(n d^2 + d^3)",
    source="Bao et al. 2019; Ibrahim et al. 2022, arXiv:2110.06893",
    summary="between-class variance relative to a shrunk covariance",
    scorer=by_layer(hscore),
)
