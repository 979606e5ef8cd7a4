"""``matrix_entropy``: how evenly the texts of a layer are spread over directions."""

import numpy as np

from layerfuse.core.arrays import Features
from layerfuse.score.gram import spectrum
from layerfuse.score.info import BLIND, CriterionInfo, without_labels


def matrix_entropy(features: Features) -> float:
    """Return the von Neumann entropy of the normalised Gram matrix of all texts.

    With eigenvalues s_k of XX' and p_k = s_k / sum(s),

        S = - sum_k p_k log p_k,

    the limit of the matrix-based Renyi entropy as its order goes to 1. Higher is taken as better,
    since the layer then distinguishes more about the texts. Publications disagree, because noise
    has the highest entropy.

    Parameters
    ----------
    features : array of shape (text, feature)
        One layer, neither centred nor scaled.

    Returns
    -------
    float
        Nats, 0 .. log(min(n, d)); 0 if all texts lie in one direction.

    Warnings
    --------
    A poor guide to accuracy: it uses no labels, and the common mean of all texts, which is large in
    many decoders, counts as one of the directions.

    Source
    ------
    Giraldo, Rao and Principe 2015, arXiv:1211.2459; as a measure of layers Skean et al. 2025,
    arXiv:2502.02013, there called dataset entropy.
    """
    return entropy(spectrum(features, centre=False))


def entropy(sizes: np.ndarray) -> float:
    """Return the Shannon entropy, in nats, of positive numbers divided by their sum."""
    if len(sizes) == 0:
        return 0.0
    shares = sizes / sizes.sum()
    return float(-(shares * np.log(shares)).sum())


MATRIX_ENTROPY = CriterionInfo(
    name="matrix_entropy",
    needs=frozenset(),
    cost="O(n d min(n, d) + min(n, d)^3)",
    source="Giraldo et al. 2015, arXiv:1211.2459; Skean et al. 2025, arXiv:2502.02013",
    summary="entropy of the spectrum of the Gram matrix",
    scorer=without_labels(matrix_entropy),
    warning=BLIND,
)
