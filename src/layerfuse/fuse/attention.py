"""``attention``: weights the layers of a source by text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from layerfuse.core.arrays import Block, Features, Gates
from layerfuse.core.layers import LayerRef
from layerfuse.core.supervision import Supervision
from layerfuse.fuse.concat import Concat
from layerfuse.fuse.evidence import held_out_evidence
from layerfuse.fuse.fusion import check_blocks
from layerfuse.fuse.gate import Gate, fit_gate, learning_texts
from layerfuse.fuse.gated import weighted_sum
from layerfuse.fuse.mean import Mean
from layerfuse.fuse.sources import (
    CommonAxes,
    averages,
    leading_axes,
    members,
    seen_texts,
    source_of_each,
    width_of_averages,
)

_EVIDENCE_AXES = 256
_KEY_AXES = 32


@dataclass(frozen=True, slots=True, eq=False)
class Attention:
    """A weighted average of the layers of each source; the sources are concatenated.

    The key of a layer is its scores on the axes of its source. One query per source is learned.
    Learning starts from equal weights, which give ``mean``.

    Parameters
    ----------
    common : CommonAxes
        Standardises the blocks and computes their keys; each block is a part.
    gate : Gate
        One query per source; its sets are the sources.

    Source
    ------
    Attention with a learned query: Yang et al. 2016, *Hierarchical Attention Networks*, NAACL,
    eq. 5-7; over layers instead of words.
    """

    common: CommonAxes
    gate: Gate

    @classmethod
    def fit_fuse(
        cls, blocks: Sequence[Block], refs: Sequence[LayerRef], supervision: Supervision
    ) -> tuple["Attention", Features]:
        """Learn queries on leave-one-out evidence; fuse each text by queries that did not see it.

        If every source has one layer, there is nothing to weight, and the result is ``mean``.
        """
        check_blocks(blocks, refs, supervision)
        sources = source_of_each(refs)
        common = _axes_of_means(blocks, sources, supervision.random_state)
        kept = common.strongest(_KEY_AXES)
        fused = common.concat.fuse(blocks)
        prior = (1 / np.bincount(sources)[sources]).astype(np.float32)
        if np.bincount(sources).max() == 1 or not common.axes.any():
            fitted = cls(kept, Gate.constant(sources, prior))
            return fitted, fitted._averaged(fused, np.tile(prior, (len(fused), 1)))
        rows = learning_texts(supervision)
        seen = fused if len(rows) == len(fused) else fused[rows]
        evidence = held_out_evidence(lambda: common.scores(seen), supervision.of_texts(rows))
        gate, weights = fit_gate(
            kept.stacked(fused),
            (evidence.parts, evidence.base),
            weighted_sum,
            sources,
            prior,
            supervision,
            query=True,
        )
        fitted = cls(kept, gate)
        return fitted, fitted._averaged(fused, weights)

    @property
    def out_width(self) -> int:
        """Width of the fused vector."""
        return width_of_averages(self.common.concat.widths, self.gate.sets)

    def fuse(self, blocks: Sequence[Block]) -> Features:
        """Return (text, out_width) float32 vectors.

        Raises
        ------
        ShapeError
            If the blocks are not as wide as those of ``fit_fuse``, or not all of the same texts.
        """
        fused = self.common.concat.fuse(blocks)
        return self._averaged(fused, self._weights(fused))

    def gates(self, blocks: Sequence[Block]) -> Gates:
        """Return the weight of each layer for each text, (text, layer); sums per source are 1."""
        return self._weights(self.common.concat.fuse(blocks))

    def gate_names(self, refs: Sequence[LayerRef]) -> tuple[str, ...]:
        """Return ``backbone:layer:pooling`` of each layer."""
        return tuple(map(str, refs))

    def _weights(self, fused: Features) -> Gates:
        return self.gate.of(self.common.stacked(fused, self.gate.n_inputs))

    def _averaged(self, fused: Block, weights: Gates) -> Features:
        layers = self.common.concat.split(fused)
        return np.concatenate(averages(layers, weights, self.gate.sets), axis=1)

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the whole state."""
        return {**self.common.arrays(), **self.gate.arrays()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Attention":
        """Rebuild from ``arrays``."""
        return cls(CommonAxes.from_arrays(arrays), Gate.from_arrays(arrays))


def _axes_of_means(blocks: Sequence[Block], sources: np.ndarray, random_state: int) -> CommonAxes:
    """Return principal axes of the sources' averages; scores of layers sum to the average's."""
    concat = Concat.fit(blocks)
    rows = seen_texts(len(blocks[0]), random_state)
    seen = concat.fuse([block[rows] for block in blocks])
    axes = leading_axes(Mean(concat, sources).averages(seen), _EVIDENCE_AXES, random_state)
    layers = members(sources)
    ends = np.cumsum([concat.widths[of_source[0]] for of_source in layers])[:-1]
    by_source = np.split(axes, ends)
    by_layer = [by_source[s] / np.float32(len(layers[s])) for s in sources]
    return CommonAxes(concat, np.concatenate(by_layer), np.arange(len(blocks)))
