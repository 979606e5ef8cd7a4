"""``best_backbone``: the best layers in the upper half of the backbone that has the best layer."""

from layerfuse.core.scores import LayerScores
from layerfuse.core.selection import Selection
from layerfuse.select.limits import check_k, describe
from layerfuse.select.upper_half import upper_half
from layerfuse.select.upper_top import upper_top


def best_backbone(scores: LayerScores, k: int | None = None) -> Selection:
    """Choose the best layers in the upper half of the backbone that has the best layer of all.

    Parameters
    ----------
    scores : LayerScores
        Scores of one or several backbones, by a criterion that is comparable between backbones.
    k : int, optional
        Number of layers, at most the size of the smallest upper half, because another sample of
        texts may favour another backbone. Default: a third of the upper half.

    Returns
    -------
    Selection
        Best first.

    Raises
    ------
    SelectionError
        If some upper half has fewer than k scored layers, or k is below 1.
    """
    for one in scores.backbones:
        check_k(k, scores.among(upper_half(scores.of(one)).refs), "in the upper half")
    backbone = scores.best.backbone
    chosen = upper_top(scores.of(backbone), k)
    which = "the best third" if k is None else describe(k, scores)
    return Selection(chosen.refs, f"{which} by {scores.criterion} of the upper half of {backbone}")
