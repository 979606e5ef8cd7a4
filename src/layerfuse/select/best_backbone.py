"""``best_backbone``: the best layers of the deeper half of the backbone with the best layer."""

from layerfuse.core.scores import LayerScores
from layerfuse.core.selection import Selection
from layerfuse.select.upper_top import upper_top


def best_backbone(scores: LayerScores, k: int | None = None) -> Selection:
    """Choose the best layers of the upper half of the backbone that has the best layer of all.

    Parameters
    ----------
    scores : LayerScores
        Of one or several backbones, under a criterion that compares between backbones.
    k : int, optional
        How many. Default: a third of the upper half.

    Returns
    -------
    Selection
        Best first.

    Raises
    ------
    SelectionError
        If that upper half has fewer than k scored layers, or k is below 1.
    """
    backbone = scores.best.backbone
    chosen = upper_top(scores.of(backbone), k)
    how_many = "third" if k is None else str(k)
    reason = f"the best {how_many} by {scores.criterion} of the upper half of {backbone}"
    return Selection(chosen.refs, reason)
