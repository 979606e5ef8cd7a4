"""``concat``: concatenates standardised blocks, each scaled by its width."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from layerfuse.core.arrays import Block, Features
from layerfuse.core.blocks import StreamedBlocks
from layerfuse.core.errors import ShapeError
from layerfuse.core.layers import LayerRef
from layerfuse.core.standardize import Standardizer
from layerfuse.core.supervision import Supervision
from layerfuse.core.vectors import StreamedVectors, Vectors
from layerfuse.fuse.fusion import check_blocks


@dataclass(frozen=True, slots=True, eq=False)
class Concat:
    """Block-scaled concatenation.

    Each block is standardised and divided by the square root of its width. A linear head with one
    penalty therefore weights all blocks equally, whatever their widths: its kernel is proportional
    to the mean of the blocks' kernels.

    Parameters
    ----------
    standardizer : Standardizer
        For the concatenated blocks; its scale includes 1 / sqrt(width).
    widths : int array of shape (block,)
        Widths of the blocks.

    Source
    ------
    Uniform multiple-kernel learning: Gonen and Alpaydin 2011, *Multiple Kernel Learning
    Algorithms*, JMLR 12.
    """

    standardizer: Standardizer
    widths: np.ndarray

    @classmethod
    def fit(cls, blocks: Sequence[Block]) -> "Concat":
        """Learn means and scales from the blocks of training texts."""
        fitted = [Standardizer.fit(block) for block in blocks]
        widths = np.array([len(one.mean) for one in fitted], dtype=np.int64)
        mean = np.concatenate([one.mean for one in fitted])
        scale = np.concatenate([one.scale / np.sqrt(len(one.scale)) for one in fitted])
        return cls(Standardizer(mean, scale.astype(np.float32)), widths)

    @classmethod
    def fit_fuse(
        cls, blocks: Sequence[Block], refs: Sequence[LayerRef], supervision: Supervision
    ) -> tuple["Concat", Vectors]:
        """Learn means and scales and fuse the training texts; vectors of streamed blocks stream."""
        check_blocks(blocks, refs, supervision)
        fitted = cls.fit(blocks)
        if not isinstance(blocks, StreamedBlocks):
            return fitted, fitted.fuse(blocks)
        widths = tuple(fitted.widths.tolist())
        return fitted, StreamedVectors(
            len(supervision.labels), widths, partial(fitted.parts, blocks)
        )

    @property
    def out_width(self) -> int:
        """Width of the fused vector."""
        return int(self.widths.sum())

    def fuse(self, blocks: Sequence[Block]) -> Features:
        """Return (text, out_width) float32 vectors.

        Raises
        ------
        ShapeError
            If blocks are not as wide as those of ``fit``, or differ in the number of texts.
        """
        widths = [block.shape[1] for block in blocks]
        if widths != self.widths.tolist():
            raise ShapeError(f"Expected blocks of widths {self.widths.tolist()}, got {widths}.")
        if len({len(block) for block in blocks}) != 1:
            raise ShapeError(f"Expected the same texts in all blocks, got {[*map(len, blocks)]}.")
        fused = np.empty((len(blocks[0]), self.out_width), dtype=np.float32)
        for block, columns in zip(blocks, self.columns(), strict=True):
            self._scale(block, columns, out=fused[:, columns])
        return fused

    def columns(self) -> list[slice]:
        """Return the columns of each block in the fused vectors."""
        ends = np.cumsum(self.widths).tolist()
        return list(map(slice, [0, *ends[:-1]], ends))

    def split(self, fused: Block) -> list[Block]:
        """Return each block's columns of the fused vectors, as a view."""
        return [fused[:, columns] for columns in self.columns()]

    def parts(self, blocks: Sequence[Block]) -> Iterator[Block]:
        """Yield the columns of the fused vectors, block by block."""
        for block, columns in zip(blocks, self.columns(), strict=True):
            yield self._scale(block, columns, out=np.empty(block.shape, dtype=np.float32))

    def _scale(self, block: Block, columns: slice, *, out: Block) -> Block:
        np.subtract(block, self.standardizer.mean[columns], out=out)
        out *= self.standardizer.scale[columns]
        return out

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the whole state."""
        return {
            "mean": self.standardizer.mean,
            "scale": self.standardizer.scale,
            "widths": self.widths,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Concat":
        """Rebuild from ``arrays``."""
        return cls(Standardizer(arrays["mean"], arrays["scale"]), arrays["widths"])
