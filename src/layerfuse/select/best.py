"""``best``: the best layers of each backbone."""

from layerfuse.core.layers import LayerRef
from layerfuse.core.scores import LayerScores
from layerfuse.core.selection import Selection
from layerfuse.select.limits import check_k, describe


def best(scores: LayerScores, k: int | None = None) -> Selection:
    """Choose the best layers of each backbone.

    Parameters
    ----------
    scores : LayerScores
        Scores of one or several backbones.
    k : int, optional
        Layers per backbone. Default: all layers within one standard error of the best one, or only
        the best one if the criterion gives no standard errors.

    Returns
    -------
    Selection
        Best first within each backbone.

    Raises
    ------
    SelectionError
        If a backbone has fewer than k scored layers, or k is below 1.
    """
    refs: list[LayerRef] = []
    for backbone in scores.backbones:
        backbone_scores = scores.of(backbone)
        check_k(k, backbone_scores)
        refs += backbone_scores.near_best() if k is None else backbone_scores.ranked()[:k]
    which = describe(k, scores)
    return Selection(tuple(refs), f"{which} by {scores.criterion} of each backbone")
