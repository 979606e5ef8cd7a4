"""``twonn``: the intrinsic dimension of the texts at a layer."""

import numpy as np

from layerfuse.core.arrays import Features
from layerfuse.score.info import BLIND, CriterionInfo, without_labels
from layerfuse.score.neighbours import nearest

# Relative to the largest norm. A backbone gives the same tokens in batches of other shapes states
# that differ in their last digits, as texts in upper and lower case do if it ignores case.
_ROUNDING = 1e-5


def twonn(features: Features) -> float:
    """Return the intrinsic dimension, estimated from the two nearest neighbours.

    Let r1 <= r2 be the distances of a text to its two nearest neighbours. On a manifold of
    dimension D the ratio r2 / r1 follows a Pareto distribution with exponent D, whatever the
    density. The maximum-likelihood estimate of D is n / sum log(r2 / r1). Texts whose features are
    equal up to rounding count as one: no density gives equal texts, and a text whose two nearest
    neighbours are equal would have the ratio 1, as in infinitely many dimensions. Higher is taken
    as better, because Cheng et al. find abstraction in layers of high dimension.

    Parameters
    ----------
    features : array of shape (text, feature)
        One layer, not scaled; at least three texts.

    Returns
    -------
    float
        The dimension; 0 if fewer than three texts differ.

    Warnings
    --------
    A poor guide to accuracy: it uses no labels, and noise has the highest dimension.

    Source
    ------
    Facco et al. 2017, arXiv:1803.06992; Cheng et al. 2025, arXiv:2405.15471, for layers.
    """
    distinct = np.stack(list({row.tobytes(): row for row in features}.values()))
    rounding = _ROUNDING * np.linalg.norm(features, axis=1).max()
    distinct = distinct - distinct.mean(0, dtype=np.float64).astype(features.dtype)
    while len(distinct) >= 3:  # noqa: PLR2004
        texts, distances = nearest(distinct, 2)
        repeats = (distances[:, 0] <= rounding) & (texts[:, 0] < np.arange(len(distinct)))
        if not repeats.any():
            growth = float(np.log(distances[:, 1] / distances[:, 0]).sum())
            return len(distinct) / growth if growth > 0 else 0.0
        distinct = distinct[~repeats]
    return 0.0


TWONN = CriterionInfo(
    name="twonn",
    needs=frozenset(),
    cost="O(n^2 d)",
    source="Facco et al. 2017, arXiv:1803.06992; Cheng et al. 2025, arXiv:2405.15471",
    summary="intrinsic dimension",
    scorer=without_labels(twonn),
    warning=BLIND,
)
