"""``anisotropy``: how similar the directions of all texts of a layer are."""

import numpy as np

from layerfuse.core.arrays import Features
from layerfuse.score.info import BLIND, CriterionInfo, without_labels


def anisotropy(features: Features) -> float:
    """Return minus the mean cosine between two different texts.

    With unit vectors u_i the mean is (||sum_i u_i||^2 - n) / (n (n - 1)), which needs no pairs. A
    vector of zeros has cosine 0 with all others. Higher, less anisotropic, is taken as better.

    Parameters
    ----------
    features : array of shape (text, feature)
        One layer, neither centred nor scaled; at least two texts.

    Returns
    -------
    float
        -1 .. 1/(n - 1); -1 if all texts have the same direction.

    Warnings
    --------
    A poor guide to accuracy: it uses no labels, and a common direction does not matter to a linear
    head. Rudman and Eickhoff 2024, arXiv:2305.19358, find less isotropy better.

    Source
    ------
    Ethayarajh 2019, arXiv:1909.00512, section 3.3, where it is measured between tokens.
    """
    lengths = np.linalg.norm(features, axis=1)
    nonzero = lengths > 0
    units = features[nonzero] / lengths[nonzero, None]
    total = float(np.square(units.sum(0, dtype=np.float64)).sum())
    n_texts = len(features)
    return -(total - float(nonzero.sum())) / (n_texts * (n_texts - 1))


ANISOTROPY = CriterionInfo(
    name="anisotropy",
    needs=frozenset(),
    cost="O(n d)",
    source="Ethayarajh 2019, arXiv:1909.00512",
    summary="minus the mean cosine between texts",
    scorer=without_labels(anisotropy),
    warning=BLIND,
)
