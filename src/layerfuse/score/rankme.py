"""``rankme``: the effective rank of a layer."""

import numpy as np

from layerfuse.core.arrays import Features
from layerfuse.score.gram import spectrum
from layerfuse.score.info import BLIND, CriterionInfo, without_labels
from layerfuse.score.matrix_entropy import entropy


def rankme(features: Features) -> float:
    """Return the exponential of the entropy of the singular values.

    With singular values s_k and p_k = s_k / sum(s), it is exp(-sum_k p_k log p_k). Higher is taken
    as better, since a low rank is a sign of collapse.

    Parameters
    ----------
    features : array of shape (text, feature)
        One layer, neither centred nor scaled.

    Returns
    -------
    float
        1 .. min(n, d).

    Warnings
    --------
    A poor guide to accuracy: it uses no labels, and its authors compare training runs of one method
    with it, not the layers of a model.

    Source
    ------
    Garrido et al. 2023, arXiv:2210.02885, equation 1; Roy and Vetterli 2007, effective rank.
    """
    return float(np.exp(entropy(np.sqrt(spectrum(features, centre=False)))))


RANKME = CriterionInfo(
    name="rankme",
    needs=frozenset(),
    cost="O(n d min(n, d) + min(n, d)^3)",
    source="Garrido et al. 2023, arXiv:2210.02885",
    summary="effective rank",
    scorer=without_labels(rankme),
    warning=BLIND,
)
