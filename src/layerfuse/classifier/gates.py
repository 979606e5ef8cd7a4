"""``TextGates``: how much each source counts for each text, with names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from layerfuse.core.arrays import Block, Gates
from layerfuse.core.errors import UnknownOptionError
from layerfuse.core.selection import Selection
from layerfuse.fuse import FUSIONS, Fusion, GatedFusion, fusion_name


@dataclass(frozen=True, slots=True, eq=False)
class TextGates:
    """Weights of sources.

    Parameters
    ----------
    names : tuple of str
        ``backbone:pooling`` of each source; ``backbone:layer:pooling`` where layers are weighed.
    weights : float32 array of shape (text, source)
        From 0 up; 1 in all, or in all for the layers of one source. The rows of a fusion whose
        weights do not depend on the text are equal.
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
        Names the sources.
    parts : iterable of sequences of arrays
        Blocks of some texts at a time.

    Raises
    ------
    UnknownOptionError
        If that fusion has no gates.
    """
    if not isinstance(fusion, GatedFusion):
        gated = [name for name, one in FUSIONS.items() if issubclass(one, GatedFusion)]
        raise UnknownOptionError(
            f"fusion={fusion_name(fusion)!r} has no gates. Fit with one of: {', '.join(gated)}."
        )
    weights = [fusion.gates(blocks) for blocks in parts]
    return TextGates(fusion.gate_names(selection.refs), np.concatenate(weights))
