"""``transrate``: how much shorter a code for the features is if the labels are known."""

import numpy as np

from layerfuse.core.arrays import ClassIndices, Features
from layerfuse.core.ridge import present_classes
from layerfuse.core.standardize import Standardizer
from layerfuse.score.gram import gram
from layerfuse.score.info import CriterionInfo, by_layer

_DISTORTION = 0.5


def transrate(features: Features, labels: ClassIndices) -> float:
    """Return R(Z) - R(Z | Y), the reduction of the coding rate by the labels.

    With standardised features Z over n texts and d dimensions that vary, scaled to mean squared
    norm 1, and Z_c those of the n_c texts of class c minus their mean,

        R(Z) = 1/2 log det(I + d / (n e^2) Z'Z),    R(Z | Y) = sum_c (n_c / n) R(Z_c),

    with distortion e^2 = 0.5. Higher is better; the score bounds the mutual information of features
    and labels.

    Parameters
    ----------
    features : array of shape (text, feature)
        One layer. Standardised here, because the rate depends on the scale, which differs by layer.
    labels : int array of shape (text,)
        Class indices, at least two distinct.

    Returns
    -------
    float
        Nats, at least 0 up to rounding.

    Raises
    ------
    LabelError
        If all labels are the same.

    Source
    ------
    Huang et al. 2022, arXiv:2106.09263, equations 3 and 4. The distortion is that of Yu et al.
    2020, arXiv:2006.08558; a smaller one needs more texts than features in every class. We centre
    each class: as published, two balanced classes with opposite means score 0, because their second
    moments equal those of all texts.
    """
    classes = present_classes(labels)
    standard = Standardizer.fit(features).apply(features)
    reduction = _rate(standard)
    for label, count in enumerate(np.bincount(classes)):
        reduction -= count / len(labels) * _rate(standard[classes == label])
    return float(reduction)


def _rate(standard: Features) -> float:
    # The scale 1/sqrt(d) of the features and the factor d cancel.
    matrix = gram(standard, centre=True) / (len(standard) * _DISTORTION)
    matrix[np.diag_indices(len(matrix))] += 1.0
    return float(np.log(np.diag(np.linalg.cholesky(matrix))).sum())


TRANSRATE = CriterionInfo(
    name="transrate",
    needs=frozenset({"labels"}),
    cost="O(n d^2 + C min(n / C, d)^3)",
    source="Huang et al. 2022, arXiv:2106.09263",
    summary="reduction of the coding rate of the features by the labels",
    scorer=by_layer(transrate),
)
