"""``TextGates``: the weight of each source for each text, with names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from layerfuse.core.arrays import Block, Gates
from layerfuse.core.errors import UnknownOptionError
from layerfuse.core.selection import Selection
from layerfuse.fuse import FUSIONS, Fusion, GatedFusion, fusion_name


@dataclass(frozen=True, slots=True, eq=False)
class TextGates:
    """Weights of sources for each text.

    Parameters
    ----------
    names : tuple of str
        ``backbone:pooling`` of each source; ``backbone:layer:pooling`` if layers are weighted.
    weights : float32 array of shape (text, source)
        Non-negative; they sum to 1 per text, or per text and source if layers are weighted. If the
        weights do not depend on the text, all rows are equal.
    """

    names: tuple[str, ...]
    weights: Gates


def read_gates(fusion: Fusion, selection: Selection, parts: Iterable[Sequence[Block]]) -> TextGates:
    """Return the gates of a fitted fusion.

    Parameters
    ----------
    fusion : Fusion
        Fitted on the layers of the selection.
    selection : Selection
        The layers, which name the sources.
    parts : iterable of sequences of arrays
        Batches of texts, each as its blocks.

    Raises
    ------
    UnknownOptionError
        If the fusion has no gates.
    """
    if not isinstance(fusion, GatedFusion):
        gated = [name for name, one in FUSIONS.items() if issubclass(one, GatedFusion)]
        raise UnknownOptionError(
            f"fusion={fusion_name(fusion)!r} has no gates. Fit with one of: {', '.join(gated)}."
        )
    weights = [fusion.gates(blocks) for blocks in parts]
    return TextGates(fusion.gate_names(selection.refs), np.concatenate(weights))
