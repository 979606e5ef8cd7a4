"""``hscore``: between-class variance in units of the regularised covariance of features."""

import numpy as np
import scipy.linalg

from layerfuse.core.arrays import ClassIndices, Features
from layerfuse.core.ridge import one_hot
from layerfuse.score.info import CriterionInfo, by_layer

_JITTER = 1e-10  # of the mean variance; where nothing is shrunk and dimensions depend


def hscore(features: Features, labels: ClassIndices) -> float:
    """Return the H-score with a covariance shrunk after Ledoit and Wolf.

    With centred features, their covariance S over n texts, its mean variance v = tr(S) / d, class
    means m_c and shares q_c,

        H = (1 - a) tr( ((1 - a) S + a v I)^-1 sum_c q_c m_c m_c' ),

    where a in 0 .. 1 is the shrinkage of least expected squared error. Higher is better: classes
    apart along directions that vary little otherwise. At most C - 1.

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
    targets = one_hot(labels)
    n_texts, width = features.shape
    centred = features - features.mean(0, dtype=np.float64)
    covariance = centred.T @ centred / n_texts
    variance = float(np.trace(covariance)) / width
    if variance <= 0:
        return 0.0
    shrinkage = _ledoit_wolf(centred, covariance, variance)
    shrunk = (1 - shrinkage) * covariance
    shrunk[np.diag_indices(width)] += (shrinkage + _JITTER) * variance
    counts = targets.sum(0)
    present = counts > 0
    means = (centred.T @ targets[:, present]) / np.sqrt(n_texts * counts[present])
    whitened = scipy.linalg.cho_solve(scipy.linalg.cho_factor(shrunk, lower=True), means)
    return float((1 - shrinkage) * (means * whitened).sum())


def _ledoit_wolf(centred: Features, covariance: np.ndarray, variance: float) -> float:
    """Return the share, 0 .. 1, by which to move a covariance towards a multiple of identity."""
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
    summary="between-class variance by the inverse of a shrunk covariance",
    scorer=by_layer(hscore),
)
