"""``gated``: weights the sources by text."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from layerfuse.core.arrays import Block, Features, Gates
from layerfuse.core.layers import LayerRef
from layerfuse.core.supervision import Supervision
from layerfuse.fuse.evidence import held_out_evidence
from layerfuse.fuse.fusion import check_blocks
from layerfuse.fuse.gate import Gate, fit_gate, learning_texts
from layerfuse.fuse.kernel_weights import kernel_weights
from layerfuse.fuse.sources import CommonAxes, source_names, source_of_each

_EVIDENCE_AXES = 256
_GATE_AXES = 8


@dataclass(frozen=True, slots=True, eq=False)
class Gated:
    """Concatenation as in ``concat``, with each block multiplied by the weight of its source.

    Weights are computed from the sources' scores on common axes and sum to 1 over sources. Blocks
    are multiplied by weight times number of sources, so equal weights give ``concat``. Learning
    starts from the weights of ``static_gate``, whose own start is equal weights. A linear head on
    the fused vector is a sum over sources of gate times projection, as in a gated multimodal unit
    without its tanh. So the projections can be fitted in closed form after the gates.

    Parameters
    ----------
    common : CommonAxes
        Standardises the blocks; scores on its axes are the inputs of the gate.
    gate : Gate
        Weights by text.

    Source
    ------
    Arevalo et al. 2017, *Gated Multimodal Units for Information Fusion*, arXiv:1702.01992, eq. 3.
    """

    common: CommonAxes
    gate: Gate

    @classmethod
    def fit_fuse(
        cls, blocks: Sequence[Block], refs: Sequence[LayerRef], supervision: Supervision
    ) -> tuple["Gated", Features]:
        """Learn gates on leave-one-out evidence; fuse each text by gates that did not see it.

        With one source there is nothing to weight, and the result is ``concat``.
        """
        check_blocks(blocks, refs, supervision)
        parts = source_of_each(refs)
        common = CommonAxes.fit(blocks, parts, _EVIDENCE_AXES, supervision.random_state)
        kept = common.strongest(_GATE_AXES)
        fused = common.concat.fuse(blocks)
        sets = np.zeros(common.n_parts, dtype=np.int64)  # one set of all sources
        roots = np.sqrt(kernel_weights(fused, common.owners, supervision))
        prior = (roots / roots.sum()).astype(np.float32)
        if common.n_parts == 1 or not common.axes.any():
            return cls(kept, Gate.constant(sets, prior)), fused
        rows = learning_texts(supervision)
        seen = fused if len(rows) == len(fused) else fused[rows]

        def scores() -> Iterator[Block]:
            for size, of_source in zip(common.n_parts * prior, common.scores(seen), strict=True):
                yield size * of_source

        evidence = held_out_evidence(scores, supervision.of_texts(rows))
        gate, weights = fit_gate(
            kept.stacked(fused),
            (evidence.parts / (common.n_parts * prior)[:, None], evidence.base),
            weighted_sum,
            sets,
            prior,
            supervision,
        )
        fitted = cls(kept, gate)
        return fitted, fitted._weighted(fused, weights)

    @property
    def out_width(self) -> int:
        """Width of the fused vector."""
        return self.common.concat.out_width

    def fuse(self, blocks: Sequence[Block]) -> Features:
        """Return (text, out_width) float32 vectors.

        Raises
        ------
        ShapeError
            If blocks are not as wide as those of ``fit_fuse``, or differ in the number of texts.
        """
        fused = self.common.concat.fuse(blocks)
        return self._weighted(fused, self._gates(fused))

    def gates(self, blocks: Sequence[Block]) -> Gates:
        """Return the weight of each source for each text, (text, source); rows sum to 1."""
        return self._gates(self.common.concat.fuse(blocks))

    def gate_names(self, refs: Sequence[LayerRef]) -> tuple[str, ...]:
        """Return ``backbone:pooling`` of each source."""
        return source_names(refs)

    def _gates(self, fused: Features) -> Gates:
        return self.gate.of(self.common.stacked(fused, self.gate.n_inputs))

    def _weighted(self, fused: Features, weights: Gates) -> Features:
        n_parts = np.float32(self.common.n_parts)
        for columns, part in zip(self.common.concat.columns(), self.common.parts, strict=True):
            fused[:, columns] *= n_parts * weights[:, [part]]
        return fused

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the whole state."""
        return {**self.common.arrays(), **self.gate.arrays()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Gated":
        """Rebuild from ``arrays``."""
        return cls(CommonAxes.from_arrays(arrays), Gate.from_arrays(arrays))


def weighted_sum(xp: Any, weights: Any, outputs: Sequence[Any]) -> Any:
    """Return the logits (text, class): base + sum over parts of weight times contribution."""
    parts, base = outputs
    return xp.einsum("tp,tpc->tc", weights, parts) + base
