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
_ROUNDS = 3  # each fits a head under the current weights, then the weights
_PRIOR_TEXTS = 2.0  # strength of the Dirichlet prior, which favours equal weights


@dataclass(frozen=True, slots=True, eq=False)
class ScalarMix:
    """A weighted average of the normalised layers of each source; the sources are concatenated.

    After standardisation over texts, each layer of each text is normalised over its dimensions to
    mean 0 and equal norm. So weights show how much a layer counts, whatever its size.

    Parameters
    ----------
    concat : Concat
        Standardises the blocks.
    sources : int array of shape (block,)
        Source of each block, whose average it goes into.
    weights : float32 array of shape (block,)
        Positive; they sum to 1 within a source.

    Source
    ------
    Peters et al. 2018, *Deep Contextualized Word Representations*, NAACL, eq. 1, with their layer
    normalisation. Their factor gamma is not needed, because the head is linear.
    """

    concat: Concat
    sources: np.ndarray
    weights: np.ndarray

    @classmethod
    def fit_fuse(
        cls, blocks: Sequence[Block], refs: Sequence[LayerRef], supervision: Supervision
    ) -> tuple["ScalarMix", Features]:
        """Learn weights and a head in turns, starting from equal weights; the head is dropped.

        Training texts are fused by the weights they helped to fit: so few weights leak hardly
        anything about labels.
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
        """Return each layer of each text with mean 0 and norm 1; zeros if all dimensions agree."""
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
            If blocks are not as wide as those of ``fit_fuse``, or differ in the number of texts.
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
    """Return the contribution of each layer, under its weight, to decisions on the mixture."""
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
    """Return the logarithms of the weights with the highest posterior for held-out labels.

    Parameters
    ----------
    logs : array of shape (layer,)
        Starting values.
    before : array of shape (layer,)
        Weights that the evidence already includes.
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

    optimum = minimize(
        loss_and_gradient, logs, jac=True, method="L-BFGS-B", bounds=[(-12.0, 12.0)] * len(logs)
    )
    return np.asarray(optimum.x)


def _softmax(logs: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """Return weights that sum to 1 within each source."""
    powers = np.exp(logs)
    return np.asarray(powers / np.bincount(sources, powers)[sources])
