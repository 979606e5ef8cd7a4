"""``upper_top``: the best layers in the upper halves of all backbones together."""

from layerfuse.core.scores import LayerScores
from layerfuse.core.selection import Selection
from layerfuse.select.limits import check_k, describe
from layerfuse.select.upper_half import upper_half

SHARE = 3
"""Without k, one in this many layers of the upper halves is chosen."""


def upper_top(scores: LayerScores, k: int | None = None) -> Selection:
    """Choose the best layers in the upper halves of all backbones together.

    Parameters
    ----------
    scores : LayerScores
        Scores of one or several backbones, by a criterion that is comparable between backbones.
    k : int, optional
        Layers in all; a backbone may get none. Default: a third of those that ``upper_half``
        chooses, plus the best layer of each backbone that would get none.

    Returns
    -------
    Selection
        Best first; these added layers come last.

    Raises
    ------
    SelectionError
        If the upper halves have fewer than k scored layers, or k is below 1.
    """
    upper = scores.among(upper_half(scores).refs)
    check_k(k, upper)
    of_all = f"by {scores.criterion} of the upper halves of all backbones"
    if k is not None:
        return Selection(upper.ranked()[:k], f"{describe(k, scores)} {of_all}")
    third = upper.ranked()[: max(1, len(upper.refs) // SHARE)]
    bests = (upper.of(backbone).best for backbone in upper.backbones)
    return Selection(tuple(dict.fromkeys((*third, *bests))), f"the best third {of_all}")
