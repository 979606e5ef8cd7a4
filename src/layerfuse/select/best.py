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
        Of one or several backbones.
    k : int, optional
        Layers per backbone. Default: those within one standard error of the best one; that one
        alone where a criterion has no standard errors.

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
        own = scores.of(backbone)
        check_k(k, own)
        refs += own.near_best() if k is None else own.ranked()[:k]
    which = describe(k, scores)
    return Selection(tuple(refs), f"{which} by {scores.criterion} of each backbone")
