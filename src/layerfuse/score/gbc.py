"""``gbc``: overlap of the classes, each modelled as a Gaussian."""

import numpy as np

from layerfuse.core.arrays import ClassIndices, Features
from layerfuse.core.ridge import one_hot, present_classes
from layerfuse.score.axes import project
from layerfuse.score.info import CriterionInfo, by_layer

N_AXES = 64
_FLOOR = 1e-2  # smallest variance of a class, relative to all texts; classes may have one text
_ROUNDING = 2e-5  # relative to the largest variance; constant axes were seen to have up to 3e-6


def gbc(features: Features, labels: ClassIndices) -> float:
    """Return minus the summed Bhattacharyya coefficients of all ordered pairs of classes.

    Each class is a Gaussian with mean m_c and diagonal covariance S_c on the 64 leading principal
    axes, or as many as a class has texts on average. With S = (S_i + S_j) / 2,

        D_ij = 1/8 (m_i - m_j)' S^-1 (m_i - m_j) + 1/2 log( det S / sqrt(det S_i det S_j) ),
        score = - sum_{i != j} exp(-D_ij).

    Higher is better: 0 if no classes overlap, -C (C - 1) if all are equal.

    Parameters
    ----------
    features : array of shape (text, feature)
        One layer. Standardised here and projected.
    labels : int array of shape (text,)
        Class indices, at least two distinct.

    Returns
    -------
    float
        -C (C - 1) .. 0.

    Raises
    ------
    LabelError
        If all labels are the same.

    Source
    ------
    Pandy et al. 2022, arXiv:2111.12780, equations 3 to 5. We add the lower limit on the variances
    of a class, a hundredth of the variance of all texts.
    """
    targets = one_hot(present_classes(labels))
    n_axes = max(1, min(N_AXES, len(labels) // targets.shape[1]))
    axes = project(features, n_axes).astype(np.float64)
    shares = targets / targets.sum(0)
    means = shares.T @ axes
    spread = axes.var(0)
    varies = spread > spread.max() * _ROUNDING
    variances = np.stack(
        [share @ np.square(axes - mean) for share, mean in zip(shares.T, means, strict=True)]
    )
    means, spread = means[:, varies], spread[varies]
    variances = np.maximum(variances[:, varies], _FLOOR * spread)
    overlap = 0.0
    for mean, variance in zip(means, variances, strict=True):
        middle = (variances + variance) / 2
        remoteness = (np.square(means - mean) / middle).sum(1) / 8
        unlikeness = np.log(middle / np.sqrt(variances * variance)).sum(1) / 2
        overlap += float(np.exp(-(remoteness + unlikeness)).sum()) - 1.0  # the class itself has 1
    return -overlap


GBC = CriterionInfo(
    name="gbc",
    needs=frozenset({"labels"}),
    cost="O(n d min(n, d) + C^2)",
    source="Pandy et al. 2022, arXiv:2111.12780",
    summary="minus the overlap of classes as Gaussians",
    scorer=by_layer(gbc),
)
