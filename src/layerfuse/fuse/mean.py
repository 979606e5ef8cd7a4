"""``mean``: the standardised layers of each backbone averaged, backbones beside each other."""

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
    """Average within a backbone and pooling, concatenation across them.

    Layers of one backbone share their width and, through the residual stream, most of their axes;
    layers of different backbones share neither, so that averaging those would mix unrelated
    dimensions.

    Parameters
    ----------
    concat : Concat
        Standardises all blocks.
    groups : int array of shape (block,)
        Which average a block goes into.

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
        """Learn means and scales from training texts; refs tell which blocks belong together."""
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
            If the blocks are not as wide as those of ``fit``, or not all of the same texts.
        """
        return self.averages(self.concat.fuse(blocks))

    def averages(self, fused: Block) -> Features:
        """Return (text, out_width) vectors of what ``concat`` fused."""
        layers = self.concat.split(fused)
        means = [
            np.mean([layers[i] for i in own], axis=0, dtype=np.float32)
            for own in members(self.groups)
        ]
        return np.concatenate(means, axis=1)

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the whole state."""
        return {**self.concat.arrays(), "groups": self.groups}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Mean":
        """Rebuild from ``arrays``."""
        return cls(Concat.from_arrays(arrays), arrays["groups"])
