"""Sources, and common axes for sources of different widths.

A *source* is all chosen layers of one backbone under one pooling. Layers of a source differ by
degree, whereas sources differ in what they know; so weights of sources can be interpreted.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.utils.extmath import randomized_svd

from layerfuse.core.arrays import Axes, Block, Features
from layerfuse.core.layers import LayerRef
from layerfuse.fuse.concat import Concat

_SEEN_TEXTS = 4096  # texts that give the common axes, in seconds for any width


def source_names(refs: Sequence[LayerRef]) -> tuple[str, ...]:
    """Return ``backbone:pooling`` of each source, in order of first appearance."""
    return tuple(dict.fromkeys(f"{ref.backbone}:{ref.pooling}" for ref in refs))


def source_of_each(refs: Sequence[LayerRef]) -> np.ndarray:
    """Return the index of the source of each block, (block,)."""
    names = source_names(refs)
    return np.array([names.index(f"{r.backbone}:{r.pooling}") for r in refs], dtype=np.int64)


def members(sources: np.ndarray) -> list[np.ndarray]:
    """Return the positions of the blocks of each source, given the source of each block."""
    return [np.flatnonzero(sources == source) for source in range(int(sources.max()) + 1)]


def averages(layers: Sequence[Block], weights: np.ndarray, sources: np.ndarray) -> list[Block]:
    """Return the weighted average of the layers of each source, by (text or 1, layer) weights."""
    return [
        np.sum([layers[i] * weights[:, [i]] for i in of_source], axis=0)
        for of_source in members(sources)
    ]


def width_of_averages(widths: np.ndarray, sources: np.ndarray) -> int:
    """Return the total width of the averages of all sources, given the width of each block."""
    return int(sum(widths[of_source[0]] for of_source in members(sources)))


def sum_of(parts: Iterable[Block]) -> Block:
    """Return the sum of arrays, with two of them in memory at a time."""
    running = iter(parts)
    total = next(running).copy()
    for one in running:
        total += one
    return total


def seen_texts(n_texts: int, random_state: int) -> np.ndarray:
    """Return the positions of the texts that axes are fitted on, at most 4,096, ascending."""
    if n_texts <= _SEEN_TEXTS:
        return np.arange(n_texts)
    drawn = np.random.default_rng(random_state).choice(n_texts, _SEEN_TEXTS, replace=False)
    return np.sort(drawn)


def leading_axes(features: Features, n_axes: int, random_state: int) -> Axes:
    """Return the strongest principal axes of centred features, (feature, axis) in float32.

    The columns are orthonormal, strongest first; columns beyond the rank of the features are zero.

    Source
    ------
    Halko, Martinsson and Tropp 2011, *Finding Structure with Randomness*, SIAM Review 53, by
    scikit-learn.
    """
    n_directions = min(n_axes, *features.shape)
    _, strengths, axes = randomized_svd(features, n_directions, n_iter=2, random_state=random_state)
    axes[strengths <= 1e-5 * max(float(strengths[0]), 1e-30)] = 0  # rounding noise
    whole = np.zeros((features.shape[1], n_axes), dtype=np.float32)
    whole[:, :n_directions] = axes.T
    return whole


@dataclass(frozen=True, slots=True, eq=False)
class CommonAxes:
    """Principal axes of the concatenated blocks, split by block.

    The scores of a text on the axes are a sum over blocks. So each block, or source, has its own
    scores on the same axes. These are vectors of equal width whose dimensions have the same
    meaning; projecting each block on its own axes would not give that.

    Parameters
    ----------
    concat : Concat
        Standardises and scales the blocks.
    axes : float32 array of shape (feature, axis)
        Orthonormal columns, strongest first; columns beyond the rank of the features are zero.
    parts : int array of shape (block,)
        Part of each block: its source, or for some fusions the block itself.

    Source
    ------
    Consensus PCA: Westerhuis, Kourti and MacGregor 1998, *Analysis of Multiblock and Hierarchical
    PCA and PLS Models*, Journal of Chemometrics 12.
    """

    concat: Concat
    axes: Axes
    parts: np.ndarray

    @classmethod
    def fit(
        cls, blocks: Sequence[Block], parts: np.ndarray, n_axes: int, random_state: int
    ) -> "CommonAxes":
        """Fit the axes on the training texts."""
        concat = Concat.fit(blocks)
        rows = seen_texts(len(blocks[0]), random_state)
        seen = concat.fuse([block[rows] for block in blocks])
        return cls(concat, leading_axes(seen, n_axes, random_state), parts)

    def strongest(self, n_axes: int) -> "CommonAxes":
        """Return a copy with only the strongest axes."""
        return CommonAxes(self.concat, np.ascontiguousarray(self.axes[:, :n_axes]), self.parts)

    @property
    def n_parts(self) -> int:
        """Number of parts."""
        return int(self.parts.max()) + 1

    @property
    def owners(self) -> np.ndarray:
        """Part of each feature of the concatenation, (feature,)."""
        return np.repeat(self.parts, self.concat.widths)

    def scores(self, fused: Block, n_axes: int | None = None) -> Iterator[Block]:
        """Yield the (text, axis) scores of one part after another.

        Parameters
        ----------
        fused : float32 array of shape (text, feature)
            Vectors that ``concat`` fused.
        n_axes : int, optional
            Number of strongest axes to use. Default: all.
        """
        columns = self.concat.columns()
        for blocks in members(self.parts):
            yield sum_of(fused[:, columns[i]] @ self.axes[columns[i], :n_axes] for i in blocks)

    def stacked(self, fused: Block, n_axes: int | None = None) -> np.ndarray:
        """Return the scores of all parts at once, (text, part, axis)."""
        return np.stack([*self.scores(fused, n_axes)], axis=1)

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the whole state."""
        return {**self.concat.arrays(), "axes": self.axes, "parts": self.parts}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "CommonAxes":
        """Rebuild from ``arrays``."""
        return cls(Concat.from_arrays(arrays), arrays["axes"], arrays["parts"])
