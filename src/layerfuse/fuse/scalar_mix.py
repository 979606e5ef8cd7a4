"""``scalar_mix``: one weight per layer of a source, the same for all texts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from layerfuse.core.arrays import Block, Features, Gates
from layerfuse.core.layers import LayerRef
from layerfuse.core.ridge import one_hot
from layerfuse.core.sample import sample_texts
from layerfuse.core.supervision import Supervision
from layerfuse.fuse.concat import Concat
from layerfuse.fuse.evidence import Evidence, held_out_evidence
from layerfuse.fuse.fusion import check_blocks
from layerfuse.fuse.sources import averages, leading_axes, source_of_each, width_of_averages

_LEARNING_TEXTS = 4096
_EVIDENCE_AXES = 256
_ROUNDS = 3  # of weights given the head, and the head given weights
_PRIOR_TEXTS = 2.0  # what a prior belief in equal weights counts


@dataclass(frozen=True, slots=True, eq=False)
class ScalarMix:
    """A weighted average of the normalised layers of each source, sources beside each other.

    Each layer of each text is brought to mean 0 and variance 1 over its dimensions, after
    standardisation over texts, so that weights tell what counts, and not how large a layer is.

    Parameters
    ----------
    concat : Concat
        Standardises the blocks.
    sources : int array of shape (block,)
        Which average a block goes into.
    weights : float32 array of shape (block,)
        Sum to 1 within a source; positive.

    Source
    ------
    Peters et al. 2018, *Deep Contextualized Word Representations*, NAACL, eq. 1, with their layer
    normalisation; their factor gamma is left to the head, which is linear.
    """

    concat: Concat
    sources: np.ndarray
    weights: np.ndarray

    @classmethod
    def fit_fuse(
        cls, blocks: Sequence[Block], refs: Sequence[LayerRef], supervision: Supervision
    ) -> tuple["ScalarMix", Features]:
        """Learn weights, from equal ones on, and a head in turns; the head is dropped.

        So few weights do not make the fused training texts know their labels.
        """
        check_blocks(blocks, refs, supervision)
        sources = source_of_each(refs)
        even = (1 / np.bincount(sources)[sources]).astype(np.float32)
        fusion = cls(Concat.fit(blocks), sources, even)
        rows = sample_texts(supervision.labels, _LEARNING_TEXTS, supervision.random_state)
        known = supervision.of_texts(rows)
        layers = fusion.normalised([block[rows] for block in blocks])
        if np.bincount(sources).max() > 1 and any(layer.any() for layer in layers):
            logs = np.log(even).astype(float)
            for _ in range(_ROUNDS):
                evidence = _evidence(fusion, layers, known)
                logs = _likeliest(logs, fusion.weights, evidence, sources, known)
                fusion = cls(fusion.concat, sources, _softmax(logs, sources).astype(np.float32))
        return fusion, fusion.fuse(blocks)

    @property
    def out_width(self) -> int:
        """Width of the fused vector."""
        return width_of_averages(self.concat.widths, self.sources)

    def normalised(self, blocks: Sequence[Block]) -> list[Block]:
        """Return every layer of every text at mean 0 and squared norm 1; zeros where it is flat."""
        layers = []
        for layer in self.concat.split(self.concat.fuse(blocks)):
            centred = layer - layer.mean(1, keepdims=True)
            norm = np.linalg.norm(centred, axis=1, keepdims=True)
            layers.append(centred / np.where(norm > 0, norm, 1).astype(np.float32))
        return layers

    def mixed(self, layers: Sequence[Block]) -> list[Block]:
        """Return the weighted average of the layers of each source."""
        return averages(layers, self.weights[None], self.sources)

    def fuse(self, blocks: Sequence[Block]) -> Features:
        """Return (text, out_width) float32 vectors.

        Raises
        ------
        ShapeError
            If the blocks are not as wide as those of ``fit_fuse``, or not all of the same texts.
        """
        return np.concatenate(self.mixed(self.normalised(blocks)), axis=1)

    def gates(self, blocks: Sequence[Block]) -> Gates:
        """Return the weight of each layer, the same in every row, (text, layer)."""
        return np.tile(self.weights, (len(blocks[0]), 1))

    def gate_names(self, refs: Sequence[LayerRef]) -> tuple[str, ...]:
        """Return ``backbone:layer:pooling`` of each layer."""
        return tuple(map(str, refs))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the whole state."""
        return {**self.concat.arrays(), "sources": self.sources, "weights": self.weights}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "ScalarMix":
        """Rebuild from ``arrays``."""
        return cls(Concat.from_arrays(arrays), arrays["sources"], arrays["weights"])


def _evidence(fusion: ScalarMix, layers: Sequence[Block], known: Supervision) -> Evidence:
    """Return what each layer adds under its weight to decisions on the mixture."""
    mixed = fusion.mixed(layers)
    means = [one.mean(0, dtype=np.float64).astype(np.float32) for one in mixed]
    centred = np.concatenate([one - mean for one, mean in zip(mixed, means, strict=True)], axis=1)
    axes = leading_axes(centred, _EVIDENCE_AXES, known.random_state)
    by_source = np.split(axes, np.cumsum([one.shape[1] for one in mixed])[:-1])

    def scores() -> Iterator[Block]:
        for layer, weight, source in zip(layers, fusion.weights, fusion.sources, strict=True):
            yield weight * (layer @ by_source[source])

    return held_out_evidence(scores, known)


def _likeliest(
    logs: np.ndarray,
    before: np.ndarray,
    evidence: Evidence,
    sources: np.ndarray,
    known: Supervision,
) -> np.ndarray:
    """Return the logarithms of weights under which held-out labels are likeliest, less the prior.

    Parameters
    ----------
    logs : array of shape (layer,)
        Where to start.
    before : array of shape (layer,)
        Weights that are in the evidence.
    """
    parts = evidence.parts / before[:, None]
    targets = one_hot(known.labels)
    text_weights = known.held_out_weights()
    text_weights = text_weights / text_weights.sum()
    prior = _PRIOR_TEXTS / len(known.labels)
    sizes = np.bincount(sources)[sources]

    def loss_and_gradient(logs: np.ndarray) -> tuple[float, np.ndarray]:
        weights = _softmax(logs, sources)
        log_chances = log_softmax(evidence.base + np.einsum("p,tpc->tc", weights, parts), axis=1)
        loss = -float(text_weights @ (targets * log_chances).sum(1))
        loss -= prior * float(np.log(weights).sum())
        surplus = text_weights[:, None] * (np.exp(log_chances) - targets)
        slopes = np.einsum("tc,tpc->p", surplus, parts) * weights
        slopes -= weights * np.bincount(sources, slopes)[sources]
        return loss, slopes - prior * (1 - sizes * weights)

    found = minimize(
        loss_and_gradient, logs, jac=True, method="L-BFGS-B", bounds=[(-12.0, 12.0)] * len(logs)
    )
    return np.asarray(found.x)


def _softmax(logs: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """Return weights that sum to 1 within each source."""
    powers = np.exp(logs)
    return np.asarray(powers / np.bincount(sources, powers)[sources])
