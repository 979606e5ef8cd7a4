"""``experts``: a mixture of one probe per source, with weights that depend on the text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from layerfuse.core.arrays import Block, Features, Gates
from layerfuse.core.layers import LayerRef
from layerfuse.core.supervision import Supervision
from layerfuse.fuse.fusion import check_blocks
from layerfuse.fuse.gate import Gate, fit_gate, learning_texts
from layerfuse.fuse.probes import Probes, centred
from layerfuse.fuse.sources import CommonAxes, source_names, source_of_each

_GATE_AXES = 8


@dataclass(frozen=True, slots=True, eq=False)
class Experts:
    """A soft mixture of one expert per source: p(class) = sum of weight times p(class | source).

    ``gated`` adds weighted decisions; this adds weighted probabilities. An expert with a small
    weight hardly counts, however confident it is.

    Parameters
    ----------
    probes : Probes
        The experts.
    common : CommonAxes
        Axes that give the inputs of the gate.
    gate : Gate
        Weights by text; learning starts from equal weights.

    Source
    ------
    Jacobs, Jordan, Nowlan and Hinton 1991, *Adaptive Mixtures of Local Experts*, Neural
    Computation 3, eq. 1. Here the gate learns on held-out probabilities of the experts.
    """

    probes: Probes
    common: CommonAxes
    gate: Gate

    @classmethod
    def fit_fuse(
        cls, blocks: Sequence[Block], refs: Sequence[LayerRef], supervision: Supervision
    ) -> tuple["Experts", Features]:
        """Fit the experts, and the gate on their held-out probabilities."""
        check_blocks(blocks, refs, supervision)
        parts = source_of_each(refs)
        probes, held_out = Probes.fit(blocks, parts, supervision)
        common = CommonAxes.fit(blocks, parts, _GATE_AXES, supervision.random_state)
        n_parts = common.n_parts
        sets = np.zeros(n_parts, dtype=np.int64)  # one set of all sources
        prior = np.full(n_parts, 1 / n_parts, dtype=np.float32)
        chances = np.exp(held_out)
        if n_parts == 1:
            gate, weights = Gate.constant(sets, prior), np.ones((len(chances), 1), dtype=np.float32)
        else:
            scores = common.stacked(common.concat.fuse(blocks))
            gate, weights = fit_gate(
                scores, [chances[learning_texts(supervision)]], mixture, sets, prior, supervision
            )
        return cls(probes, common, gate), centred(mixture(np, weights, [chances]))

    @property
    def out_width(self) -> int:
        """Width of the fused vector: the number of classes."""
        return self.probes.n_classes

    def fuse(self, blocks: Sequence[Block]) -> Features:
        """Return (text, class) float32 log probabilities, centred over classes.

        Raises
        ------
        ShapeError
            If blocks are not as wide as those of ``fit_fuse``, or differ in the number of texts.
        """
        fused = self.common.concat.fuse(blocks)  # the probes' concat is equal: same training texts
        chances = np.exp(self.probes.of_fused(fused))
        return centred(mixture(np, self._gates(fused), [chances]))

    def gates(self, blocks: Sequence[Block]) -> Gates:
        """Return the weight of each source for each text, (text, source); rows sum to 1."""
        return self._gates(self.common.concat.fuse(blocks))

    def _gates(self, fused: Block) -> Gates:
        return self.gate.of(self.common.stacked(fused, self.gate.n_inputs))

    def gate_names(self, refs: Sequence[LayerRef]) -> tuple[str, ...]:
        """Return ``backbone:pooling`` of each source."""
        return source_names(refs)

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the whole state."""
        return {**self.probes.arrays(), **self.common.arrays(), **self.gate.arrays()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Experts":
        """Rebuild from ``arrays``."""
        gate = Gate.from_arrays(arrays)
        return cls(Probes.from_arrays(arrays), CommonAxes.from_arrays(arrays), gate)


def mixture(xp: Any, weights: Any, outputs: Sequence[Any]) -> Any:
    """Return the log of the sum over sources of weight times probability, (text, class)."""
    # The weights need not sum to 1, because the softmax over classes normalises.
    return xp.log(xp.einsum("tp,tpc->tc", weights, outputs[0]) + 1e-12)
