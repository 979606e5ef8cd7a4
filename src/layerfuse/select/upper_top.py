"""``upper_top``: the best layers of the deeper halves of all backbones together."""

from layerfuse.core.scores import LayerScores
from layerfuse.core.selection import Selection
from layerfuse.select.limits import check_k, describe
from layerfuse.select.upper_half import upper_half

SHARE = 3
"""One in so many layers of the upper halves, if nobody says how many."""


def upper_top(scores: LayerScores, k: int | None = None) -> Selection:
    """Choose the best layers of the upper halves over all backbones.

    Parameters
    ----------
    scores : LayerScores
        Of one or several backbones, under a criterion that compares between backbones.
    k : int, optional
        Layers in all; a backbone may get none then. Default: a third of those that ``upper_half``
        chooses, and of a backbone that would get none its best one besides.

    Returns
    -------
    Selection
        Best first; the best of a backbone that has no other comes last.

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
