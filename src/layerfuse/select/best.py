"""``best``: the k best layers of each backbone."""

from layerfuse.core.errors import SelectionError
from layerfuse.core.layers import LayerRef
from layerfuse.core.scores import LayerScores
from layerfuse.core.selection import Selection


def best(scores: LayerScores, k: int = 1) -> Selection:
    """Choose the k best layers of each backbone.

    Parameters
    ----------
    scores : LayerScores
        Of one or several backbones.
    k : int
        Layers per backbone, at least 1.

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
        ranked = scores.of(backbone).ranked()
        if not 1 <= k <= len(ranked):
            raise SelectionError(
                f"k={k}, but {backbone} has {len(ranked)} scored layers. Use 1 to that."
            )
        refs += ranked[:k]
    return Selection(tuple(refs), f"the {k} best by {scores.criterion} of each backbone")
