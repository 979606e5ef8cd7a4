"""Fused vectors that are too large for one array, read in groups of columns."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from layerfuse.core.arrays import Axes, Block, Features


@dataclass(frozen=True, slots=True, eq=False)
class StreamedVectors:
    """A (text, feature) matrix whose columns are read in parts, never all at once.

    Parameters
    ----------
    n_texts : int
        Number of rows.
    widths : tuple of int
        Number of columns of each part.
    read : callable
        Each call yields all parts in order, float32 arrays (text, width).
    """

    n_texts: int
    widths: tuple[int, ...]
    read: Callable[[], Iterator[Block]]

    def __len__(self) -> int:
        """Return the number of texts."""
        return self.n_texts

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of texts and features."""
        return self.n_texts, sum(self.widths)

    def mean(self) -> np.ndarray:
        """Return the mean vector (feature,), float32."""
        means = [part.mean(0, dtype=np.float64) for part in self.read()]
        return np.concatenate(means).astype(np.float32)

    def rows(self, positions: np.ndarray | slice) -> Features:
        """Return the vectors of some texts."""
        n_texts = len(np.arange(self.n_texts)[positions])
        chosen: Features = np.empty((n_texts, sum(self.widths)), dtype=np.float32)
        start = 0
        for part, width in zip(self.read(), self.widths, strict=True):
            chosen[:, start : start + width] = part[positions]
            start += width
        return chosen

    def __matmul__(self, axes: Axes) -> Block:
        """Return the product with axes, (text, component)."""
        product = np.zeros((self.n_texts, axes.shape[1]), dtype=np.float32)
        start = 0
        for part, width in zip(self.read(), self.widths, strict=True):
            product += part @ axes[start : start + width]
            start += width
        return product


Vectors = Features | StreamedVectors
"""Inputs of a head."""
