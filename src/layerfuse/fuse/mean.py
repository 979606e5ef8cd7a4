"""``mean``: averages the standardised layers of each source and concatenates the sources."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from layerfuse.core.arrays import Block, Features
from layerfuse.core.layers import LayerRef
from layerfuse.core.supervision import Supervision
from layerfuse.fuse.concat import Concat
from layerfuse.fuse.fusion import check_blocks
from layerfuse.fuse.sources import members, source_of_each, width_of_averages


@dataclass(frozen=True, slots=True, eq=False)
class Mean:
    """Average within a source (a backbone under one pooling), concatenation across sources.

    Layers of one backbone share their width and, through the residual stream, most of their axes.
    Layers of different backbones share neither, so averaging them would mix unrelated dimensions.

    Parameters
    ----------
    concat : Concat
        Standardises all blocks.
    groups : int array of shape (block,)
        Source of each block, whose average it goes into.

    Source
    ------
    Layer averaging as in Garbas et al. 2024 (ACL Findings), here after standardisation.
    """

    concat: Concat
    groups: np.ndarray

    @classmethod
    def fit_fuse(
        cls, blocks: Sequence[Block], refs: Sequence[LayerRef], supervision: Supervision
    ) -> tuple["Mean", Features]:
        """Learn means and scales and fuse the training texts; refs give the blocks' sources."""
        check_blocks(blocks, refs, supervision)
        fitted = cls(Concat.fit(blocks), source_of_each(refs))
        return fitted, fitted.fuse(blocks)

    @property
    def out_width(self) -> int:
        """Width of the fused vector."""
        return width_of_averages(self.concat.widths, self.groups)

    def fuse(self, blocks: Sequence[Block]) -> Features:
        """Return (text, out_width) float32 vectors.

        Raises
        ------
        ShapeError
            If blocks are not as wide as those of ``fit_fuse``, or differ in the number of texts.
        """
        return self.averages(self.concat.fuse(blocks))

    def averages(self, fused: Block) -> Features:
        """Return (text, out_width) vectors from vectors that ``concat`` fused."""
        layers = self.concat.split(fused)
        means = [
            np.mean([layers[i] for i in of_source], axis=0, dtype=np.float32)
            for of_source in members(self.groups)
        ]
        return np.concatenate(means, axis=1)

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the whole state."""
        return {**self.concat.arrays(), "groups": self.groups}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Mean":
        """Rebuild from ``arrays``."""
        return cls(Concat.from_arrays(arrays), arrays["groups"])
