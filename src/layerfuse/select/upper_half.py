"""``upper_half``: the deeper half of each backbone, no scores needed."""

from layerfuse.core.layers import LayerRef
from layerfuse.core.scores import LayerScores
from layerfuse.core.selection import Selection


def upper_half(scores: LayerScores) -> Selection:
    """Choose every layer from the middle of each backbone on.

    Parameters
    ----------
    scores : LayerScores
        Of one or several backbones; only its refs are used.

    Returns
    -------
    Selection
        Layers ceil(L / 2) .. L of each backbone of depth L, under every pooling.
    """
    refs: list[LayerRef] = []
    for backbone in scores.backbones:
        own = scores.of(backbone).refs
        middle = (max(ref.layer for ref in own) + 1) // 2
        refs += [ref for ref in own if ref.layer >= middle]
    return Selection(tuple(refs), "the upper half of each backbone")
