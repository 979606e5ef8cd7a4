"""``experts``: a probe per source, mixed by weights that depend on the text."""

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

    Where ``gated`` adds decisions, this adds probabilities, so that an expert who is out of its
    depth is not outvoted but overruled.

    Parameters
    ----------
    probes : Probes
        The experts.
    common : CommonAxes
        What the gate looks at.
    gate : Gate
        Weights by text; equal ones are the start.

    Source
    ------
    Jacobs, Jordan, Nowlan and Hinton 1991, *Adaptive Mixtures of Local Experts*, Neural
    Computation 3, eq. 1; the gate learns on what experts say about texts that they did not see.
    """

    probes: Probes
    common: CommonAxes
    gate: Gate

    @classmethod
    def fit_fuse(
        cls, blocks: Sequence[Block], refs: Sequence[LayerRef], supervision: Supervision
    ) -> tuple["Experts", Features]:
        """Fit experts, and the gate on texts that they did not see."""
        check_blocks(blocks, refs, supervision)
        parts = source_of_each(refs)
        probes, held_out = Probes.fit(blocks, parts, supervision)
        common = CommonAxes.fit(blocks, parts, _GATE_AXES, supervision.random_state)
        n_parts = common.n_parts
        sets = np.zeros(n_parts, dtype=np.int64)  # one, of all sources
        prior = np.full(n_parts, 1 / n_parts, dtype=np.float32)
        said = np.exp(held_out)
        if n_parts == 1:
            gate, weights = Gate.constant(sets, prior), np.ones((len(said), 1), dtype=np.float32)
        else:
            scores = common.stacked(common.concat.fuse(blocks))
            gate, weights = fit_gate(
                scores, [said[learning_texts(supervision)]], mixture, sets, prior, supervision
            )
        return cls(probes, common, gate), centred(mixture(np, weights, [said]))

    @property
    def out_width(self) -> int:
        """Width of the fused vector: the number of classes."""
        return self.probes.n_classes

    def fuse(self, blocks: Sequence[Block]) -> Features:
        """Return (text, class) float32 log probabilities, centred over classes.

        Raises
        ------
        ShapeError
            If the blocks are not as wide as those of ``fit_fuse``, or not all of the same texts.
        """
        fused = self.common.concat.fuse(blocks)  # as that of the probes, which saw the same texts
        said = np.exp(self.probes.of_fused(fused))
        return centred(mixture(np, self._gates(fused), [said]))

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


def mixture(xp: Any, weights: Any, said: Sequence[Any]) -> Any:
    """Return the log of the sum over sources of weight times probability, (text, class)."""
    # Weights of any size: the softmax over classes takes their sum out again.
    return xp.log(xp.einsum("tp,tpc->tc", weights, said[0]) + 1e-12)
