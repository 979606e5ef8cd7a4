"""``twonn``: the dimension of the surface that the texts of a layer lie on."""

import numpy as np

from layerfuse.core.arrays import Features
from layerfuse.score.info import BLIND, CriterionInfo, without_labels
from layerfuse.score.neighbours import nearest


def twonn(features: Features) -> float:
    """Return the intrinsic dimension by the two nearest neighbours.

    With distances r1 <= r2 of each text to its two nearest others, on a surface of dimension D the
    ratio r2 / r1 follows a Pareto law of exponent D whatever the density, and its most likely value
    is n / sum log(r2 / r1). Texts that another equals in all features are left out. Higher is taken
    as better: layers of high dimension are where Cheng et al. find abstraction.

    Parameters
    ----------
    features : array of shape (text, feature)
        One layer, not scaled; at least three texts.

    Returns
    -------
    float
        Dimension; 0 for a constant layer.

    Warnings
    --------
    A poor guide to accuracy: it knows no labels, and noise has the highest dimension of all.

    Source
    ------
    Facco et al. 2017, arXiv:1803.06992; Cheng et al. 2025, arXiv:2405.15471, for layers.
    """
    centred = features - features.mean(0, dtype=np.float64).astype(features.dtype)
    first, second = nearest(centred, 2).distances.T
    # Equal texts differ by rounding after centring, if at all.
    apart = first > np.finfo(features.dtype).eps * np.linalg.norm(features, axis=1).max()
    growth = float(np.log(second[apart] / first[apart]).sum())
    return float(apart.sum()) / growth if growth > 0 else 0.0


TWONN = CriterionInfo(
    name="twonn",
    needs=frozenset(),
    cost="O(n^2 d)",
    source="Facco et al. 2017, arXiv:1803.06992; Cheng et al. 2025, arXiv:2405.15471",
    summary="intrinsic dimension",
    scorer=without_labels(twonn),
    warning=BLIND,
)
