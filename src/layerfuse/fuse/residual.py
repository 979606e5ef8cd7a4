"""``residual_*``: all blocks, concatenated with sums or products of pairs of sources."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar, Literal

import numpy as np

from layerfuse.core.arrays import Block, Features
from layerfuse.core.errors import SelectionError
from layerfuse.core.layers import LayerRef
from layerfuse.core.standardize import Standardizer
from layerfuse.core.supervision import Supervision
from layerfuse.fuse.fusion import check_blocks
from layerfuse.fuse.sources import CommonAxes, source_names, source_of_each

Operation = Literal["sum", "hadamard", "matmul", "quaternion"]

N_AXES = 256
"""A vector of this width is also a 16 x 16 matrix and 64 quaternions."""

_ROUNDING = 1e-5  # relative to the deviation on the strongest axis


def combine(one: Block, other: Block, operation: Operation) -> Block:
    """Return the sum or product of two vectors of each text, (text, 256).

    Parameters
    ----------
    one, other : arrays of shape (text, 256)
        Vectors of two sources.
    operation : Operation
        ``sum`` and ``hadamard`` work by component. ``matmul`` multiplies 16 x 16 matrices, stored
        row by row. ``quaternion`` is Hamilton's product of 64 quaternions, each of four consecutive
        components w, x, y, z.

    Returns
    -------
    array of shape (text, 256)
        For ``matmul`` and ``quaternion``, the order of the arguments matters.
    """
    if operation == "sum":
        return np.asarray(one + other)
    if operation == "hadamard":
        return np.asarray(one * other)
    if operation == "matmul":
        product = one.reshape(len(one), 16, 16) @ other.reshape(len(other), 16, 16)
        return np.asarray(product.reshape(one.shape))
    a, b, c, d = np.moveaxis(one.reshape(len(one), 64, 4), -1, 0)
    w, x, y, z = np.moveaxis(other.reshape(len(other), 64, 4), -1, 0)
    product = [
        a * w - b * x - c * y - d * z,
        a * x + b * w + c * z - d * y,
        a * y - b * z + c * w + d * x,
        a * z + b * y - c * x + d * w,
    ]
    return np.stack(product, axis=-1).reshape(one.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Residual:
    """Concatenation as in ``concat``, with one more block from pairs of sources.

    Sources are projected on 256 common axes of unit variance. The sums or products of pairs are
    averaged over pairs, standardised and scaled like any other block.

    Parameters
    ----------
    common : CommonAxes
        Standardises the blocks; its axes are scaled to unit variance.
    standardizer : Standardizer
        For the block of pairs; its scale includes 1 / sqrt(width).

    Source
    ------
    Gwak and Jung 2025, arXiv:2504.05764: sum, Hadamard, matrix and quaternion product of two
    embeddings, concatenated with these. Here principal axes project, which needs no labels.
    """

    operation: ClassVar[Operation]

    common: CommonAxes
    standardizer: Standardizer

    @classmethod
    def fit_fuse(
        cls, blocks: Sequence[Block], refs: Sequence[LayerRef], supervision: Supervision
    ) -> tuple["Residual", Features]:
        """Fit the axes, and fuse the training texts.

        Raises
        ------
        SelectionError
            If there is only one source.
        """
        check_blocks(blocks, refs, supervision)
        cls.check_sources(refs)
        common = CommonAxes.fit(blocks, source_of_each(refs), N_AXES, supervision.random_state)
        raw = common.concat.fuse(blocks)
        common = CommonAxes(common.concat, common.axes * _to_unit(raw @ common.axes), common.parts)
        pairs = cls._pairs(common, raw)
        fitted = Standardizer.fit(pairs)
        scale = fitted.scale / np.float32(np.sqrt(N_AXES))
        fusion = cls(common, Standardizer(fitted.mean, scale))
        return fusion, np.concatenate([raw, fusion.standardizer.apply(pairs)], axis=1)

    @classmethod
    def check_sources(cls, refs: Sequence[LayerRef]) -> None:
        """Raise ``SelectionError`` if all layers are of one source."""
        names = source_names(refs)
        if len(names) == 1:
            raise SelectionError(
                f"residual_{cls.operation} combines sources, but all layers are of {names[0]}. Add "
                "layers of another backbone or pooling, or choose another fusion."
            )

    @property
    def out_width(self) -> int:
        """Width of the fused vector."""
        return self.common.concat.out_width + N_AXES

    def fuse(self, blocks: Sequence[Block]) -> Features:
        """Return (text, out_width) float32 vectors.

        Raises
        ------
        ShapeError
            If blocks are not as wide as those of ``fit_fuse``, or differ in the number of texts.
        """
        raw = self.common.concat.fuse(blocks)
        pairs = self.standardizer.apply(self._pairs(self.common, raw))
        return np.concatenate([raw, pairs], axis=1)

    @classmethod
    def _pairs(cls, common: CommonAxes, raw: Block) -> Block:
        combined = [
            combine(one, other, cls.operation) for one, other in combinations(common.scores(raw), 2)
        ]
        return np.asarray(np.mean(combined, axis=0, dtype=np.float32))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the whole state."""
        pairs = {"pairs.mean": self.standardizer.mean, "pairs.scale": self.standardizer.scale}
        return {**self.common.arrays(), **pairs}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Residual":
        """Rebuild from ``arrays``."""
        pairs = Standardizer(arrays["pairs.mean"], arrays["pairs.scale"])
        return cls(CommonAxes.from_arrays(arrays), pairs)


def _to_unit(scores: Block) -> np.ndarray:
    """Return the factor that gives each axis unit variance, (axis,); 0 if only rounding varies.

    With no more texts than axes, there is a direction in which training texts do not differ.
    Rounded means keep its axis, though it has no variance; new texts do differ along it.
    """
    deviation = scores.std(0, dtype=np.float64)
    varies = deviation > _ROUNDING * deviation.max()
    return np.where(varies, 1 / np.where(varies, deviation, 1), 0).astype(np.float32)


class ResidualSum(Residual):
    """``residual_sum``: blocks, and the sum of each pair of sources."""

    __slots__ = ()
    operation = "sum"


class ResidualHadamard(Residual):
    """``residual_hadamard``: blocks, and the product by component of each pair of sources."""

    __slots__ = ()
    operation = "hadamard"


class ResidualMatmul(Residual):
    """``residual_matmul``: blocks, and the matrix product of each pair of sources."""

    __slots__ = ()
    operation = "matmul"


class ResidualQuaternion(Residual):
    """``residual_quaternion``: blocks, and Hamilton's product of each pair of sources."""

    __slots__ = ()
    operation = "quaternion"
