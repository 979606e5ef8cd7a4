"""``upper_half``: the deeper half of each backbone, whatever the scores."""

from collections.abc import Sequence

from layerfuse.core.layers import LayerRef
from layerfuse.core.scores import LayerScores
from layerfuse.core.selection import Selection


def upper_half(scores: LayerScores) -> Selection:
    """Choose every layer from the middle of each backbone on.

    Parameters
    ----------
    scores : LayerScores
        Scores of one or several backbones; only the refs are used.

    Returns
    -------
    Selection
        Layers ceil(L / 2) .. L of each backbone, under every pooling; L is its deepest scored
        layer.
    """
    refs = [ref for name in scores.backbones for ref in upper_refs(scores.of(name).refs)]
    return Selection(tuple(refs), "the upper half of each backbone")


def upper_refs(refs: Sequence[LayerRef]) -> list[LayerRef]:
    """Return the deeper half of the layers of one backbone."""
    middle = (max(ref.layer for ref in refs) + 1) // 2
    return [ref for ref in refs if ref.layer >= middle]
