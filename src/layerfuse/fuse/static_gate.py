"""``static_gate``: one weight per source, the same for all texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from layerfuse.core.arrays import Block, Features, Gates
from layerfuse.core.layers import LayerRef
from layerfuse.core.standardize import Standardizer
from layerfuse.core.supervision import Supervision
from layerfuse.fuse.concat import Concat
from layerfuse.fuse.fusion import check_blocks
from layerfuse.fuse.kernel_weights import kernel_weights
from layerfuse.fuse.sources import source_names, source_of_each


@dataclass(frozen=True, slots=True, eq=False)
class StaticGate:
    """Concatenation as in ``concat``, each block times the square root of its source's weight.

    So the kernel of a linear head is the weighted sum of the sources' kernels. Equal weights give
    ``concat``.

    Parameters
    ----------
    concat : Concat
        Its scale includes the weights.
    weights : float64 array of shape (source,)
        Weights of the sources, which sum to 1.

    Source
    ------
    Multiple-kernel learning: Gonen and Alpaydin 2011, *Multiple Kernel Learning Algorithms*,
    JMLR 12; the weights by ``kernel_weights``.
    """

    concat: Concat
    weights: np.ndarray

    @classmethod
    def fit_fuse(
        cls, blocks: Sequence[Block], refs: Sequence[LayerRef], supervision: Supervision
    ) -> tuple["StaticGate", Features]:
        """Learn the weights and fuse the training texts; so few weights hardly leak labels."""
        check_blocks(blocks, refs, supervision)
        concat = Concat.fit(blocks)
        owners = np.repeat(source_of_each(refs), concat.widths)
        fused = concat.fuse(blocks)
        weights = kernel_weights(fused, owners, supervision)
        factors = np.sqrt(len(weights) * weights)[owners].astype(np.float32)
        scaled = Standardizer(concat.standardizer.mean, concat.standardizer.scale * factors)
        fused *= factors
        return cls(Concat(scaled, concat.widths), weights), fused

    @property
    def out_width(self) -> int:
        """Width of the fused vector."""
        return self.concat.out_width

    def fuse(self, blocks: Sequence[Block]) -> Features:
        """Return (text, out_width) float32 vectors.

        Raises
        ------
        ShapeError
            If blocks are not as wide as those of ``fit_fuse``, or differ in the number of texts.
        """
        return self.concat.fuse(blocks)

    def gates(self, blocks: Sequence[Block]) -> Gates:
        """Return the factor of each source, the same in every row, (text, source).

        These are the square roots of ``weights``, scaled to sum to 1 as gates that depend on the
        text do.
        """
        roots = np.sqrt(self.weights)
        return np.tile((roots / roots.sum()).astype(np.float32), (len(blocks[0]), 1))

    def gate_names(self, refs: Sequence[LayerRef]) -> tuple[str, ...]:
        """Return ``backbone:pooling`` of each source."""
        return source_names(refs)

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the whole state."""
        return {**self.concat.arrays(), "weights": self.weights}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "StaticGate":
        """Rebuild from ``arrays``."""
        return cls(Concat.from_arrays(arrays), arrays["weights"])
