"""``fisher``: the share of the variance that lies between classes."""

import numpy as np

from layerfuse.core.arrays import ClassIndices, Features
from layerfuse.core.ridge import one_hot, present_classes
from layerfuse.core.standardize import Standardizer
from layerfuse.score.info import CriterionInfo, by_layer


def fisher(features: Features, labels: ClassIndices) -> float:
    """Return tr(S_B) / tr(S_T): between-class scatter as a share of the total.

    For standardised features with class means m_c and shares q_c, S_B = sum_c q_c m_c m_c' and S_T
    is the covariance. The score is J / (1 + J) for Fisher's ratio J = tr(S_B) / tr(S_W), so it
    orders layers as J does, but stays finite if classes shrink to points. Higher is better.

    Parameters
    ----------
    features : array of shape (text, feature)
        One layer. Standardised here.
    labels : int array of shape (text,)
        Class indices, at least two distinct.

    Returns
    -------
    float
        0 .. 1; 0 for a constant layer.

    Raises
    ------
    LabelError
        If all labels are the same.

    Source
    ------
    Fisher 1936; the ratio of traces is J4 of Fukunaga 1990, *Statistical Pattern Recognition*,
    section 10.2.
    """
    targets = one_hot(present_classes(labels))
    standard = Standardizer.fit(features).apply(features)
    counts = targets.sum(0)
    sums = targets.T.astype(standard.dtype) @ standard
    between = np.square(sums, dtype=np.float64).sum(1)
    total = float(np.square(standard).sum(dtype=np.float64))
    return float((between / counts).sum() / total) if total > 0 else 0.0


FISHER = CriterionInfo(
    name="fisher",
    needs=frozenset({"labels"}),
    cost="O(n d C)",
    source="Fisher 1936; Fukunaga 1990",
    summary="share of the variance that lies between classes",
    scorer=by_layer(fisher),
)
