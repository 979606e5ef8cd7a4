"""``transrate``: how much shorter a code for the features is once the label is known."""

import numpy as np

from layerfuse.core.arrays import ClassIndices, Features
from layerfuse.core.errors import LabelError
from layerfuse.core.standardize import Standardizer
from layerfuse.score.gram import gram
from layerfuse.score.info import CriterionInfo, by_layer

_DISTORTION = 0.5


def transrate(features: Features, labels: ClassIndices) -> float:
    """Return R(Z) - R(Z | Y), the coding rate that the labels save.

    With standardised features Z over n texts and d live dimensions, scaled to mean squared norm 1,
    and Z_c those of class c, n_c texts, less their mean,

        R(Z) = 1/2 log det(I + d / (n e^2) Z'Z),    R(Z | Y) = sum_c (n_c / n) R(Z_c),

    with distortion e^2 = 0.5. Higher is better: a bound on the mutual information of features and
    labels.

    Parameters
    ----------
    features : array of shape (text, feature)
        One layer. Standardised here, since the rate depends on scale and layers differ in it.
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
    2020, arXiv:2006.08558: a small one asks of every class more texts than features. That a class
    is centred is ours: as published, two balanced classes of opposite means save nothing, since
    their second moments are those of all texts.
    """
    present, counts = np.unique(labels, return_counts=True)
    if len(present) < 2:  # noqa: PLR2004
        raise LabelError("Expected labels of at least two classes, all are the same.")
    standard = Standardizer.fit(features).apply(features)
    saved = _rate(standard)
    for label, count in zip(present, counts, strict=True):
        saved -= count / len(labels) * _rate(standard[labels == label])
    return float(saved)


def _rate(standard: Features) -> float:
    # Scaling by 1/sqrt(d) and the factor d cancel.
    matrix = gram(standard, centre=True) / (len(standard) * _DISTORTION)
    matrix[np.diag_indices(len(matrix))] += 1.0
    return float(np.log(np.diag(np.linalg.cholesky(matrix))).sum())


TRANSRATE = CriterionInfo(
    name="transrate",
    needs=frozenset({"labels"}),
    cost="O(n d^2 + C min(n / C, d)^3)",
    source="Huang et al. 2022, arXiv:2106.09263",
    summary="coding rate of the features that the labels save",
    scorer=by_layer(transrate),
)
