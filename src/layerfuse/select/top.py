"""``top``: the best layers of all backbones together."""

from layerfuse.core.scores import LayerScores
from layerfuse.core.selection import Selection
from layerfuse.select.limits import check_k, describe


def top(scores: LayerScores, k: int | None = None) -> Selection:
    """Choose the best layers over all backbones together; a backbone may get none.

    Parameters
    ----------
    scores : LayerScores
        Scores of one or several backbones, by a criterion that is comparable between backbones.
    k : int, optional
        Layers in all. Default: all layers within one standard error of the best one, or only the
        best one if the criterion gives no standard errors.

    Returns
    -------
    Selection
        Best first.

    Raises
    ------
    SelectionError
        If fewer than k layers were scored, or k is below 1.
    """
    check_k(k, scores)
    refs = scores.near_best() if k is None else scores.ranked()[:k]
    which = describe(k, scores)
    return Selection(refs, f"{which} by {scores.criterion} over all backbones")
