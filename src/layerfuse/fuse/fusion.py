"""What a fusion is: feature blocks in, one vector per text out."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from layerfuse.core.arrays import Block, Features
from layerfuse.core.layers import LayerRef


@runtime_checkable
class Fusion(Protocol):
    """Fitted fusion of the selected blocks; its whole state is a dict of arrays."""

    @classmethod
    def fit(cls, blocks: Sequence[Block], refs: Sequence[LayerRef]) -> "Fusion":
        """Learn from training texts; blocks and refs are in the same order."""
        ...

    @property
    def out_width(self) -> int:
        """Width of the fused vector."""
        ...

    def fuse(self, blocks: Sequence[Block]) -> Features:
        """Return (text, out_width) float32 vectors."""
        ...

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the whole state."""
        ...

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Fusion":
        """Rebuild from ``arrays``."""
        ...
