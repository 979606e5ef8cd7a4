"""One calibrated probe per source, with held-out log probabilities of the training texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

from layerfuse.core.arrays import Block, Coefficients, Features, Targets
from layerfuse.core.calibrate import fit_temperature
from layerfuse.core.ridge import one_hot, ridge_path
from layerfuse.core.supervision import Supervision
from layerfuse.core.threads import side_by_side
from layerfuse.fuse.concat import Concat
from layerfuse.fuse.sources import leading_axes, members, seen_texts

_N_AXES = 512
_AT_ONCE = 4  # sources fitted at once; each is copied


@dataclass(frozen=True, slots=True, eq=False)
class Probes:
    """A ridge classifier per source, with a temperature.

    Parameters
    ----------
    concat : Concat
        Standardises and scales the blocks.
    parts : int array of shape (block,)
        Source of each block.
    coefficients : float32 array of shape (feature, class)
        Coefficients of all sources, concatenated, each times the temperature of its source.
    intercepts : float32 array of shape (source, class)
        Intercepts, times the temperatures.

    Source
    ------
    Leave-one-out decisions as in ``core.ridge``; temperature scaling: Guo et al. 2017,
    arXiv:1706.04599.
    """

    concat: Concat
    parts: np.ndarray
    coefficients: Coefficients
    intercepts: np.ndarray

    @classmethod
    def fit(
        cls, blocks: Sequence[Block], parts: np.ndarray, supervision: Supervision
    ) -> tuple["Probes", np.ndarray]:
        """Fit the probes.

        Returns
        -------
        probes : Probes
            Fitted on all texts.
        held_out : float32 array of shape (text, source, class)
            Log probabilities of each text by probes that did not see it.
        """
        concat = Concat.fit(blocks)
        fused = concat.fuse(blocks)
        layers, owners = concat.split(fused), np.repeat(parts, concat.widths)
        targets = one_hot(supervision.labels)
        fitted = side_by_side(
            lambda of_source: _probe(_concatenated(layers, of_source), targets, supervision),
            members(parts),
            at_once=_AT_ONCE,
        )
        coefficients = np.zeros((fused.shape[1], targets.shape[1]), dtype=np.float32)
        for part, (part_coefficients, _, _) in enumerate(fitted):
            coefficients[owners == part] = part_coefficients
        probes = cls(concat, parts, coefficients, np.stack([one[1] for one in fitted]))
        return probes, np.stack([one[2] for one in fitted], axis=1)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return int(self.coefficients.shape[1])

    def log_probabilities(self, blocks: Sequence[Block]) -> np.ndarray:
        """Return log probabilities of each text by each source, float32 (text, source, class)."""
        return self.of_fused(self.concat.fuse(blocks))

    def of_fused(self, fused: Block) -> np.ndarray:
        """Return the same for vectors that ``concat`` fused."""
        layers, owners = self.concat.split(fused), np.repeat(self.parts, self.concat.widths)
        logits = [
            _concatenated(layers, of_source) @ self.coefficients[owners == part]
            + self.intercepts[part]
            for part, of_source in enumerate(members(self.parts))
        ]
        return np.asarray(log_softmax(np.stack(logits, axis=1), axis=2), dtype=np.float32)

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the whole state."""
        return {
            **self.concat.arrays(),
            "parts": self.parts,
            "coefficients": self.coefficients,
            "intercepts": self.intercepts,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Probes":
        """Rebuild from ``arrays``."""
        concat = Concat.from_arrays(arrays)
        return cls(concat, arrays["parts"], arrays["coefficients"], arrays["intercepts"])


def _concatenated(layers: Sequence[Block], positions: np.ndarray) -> Block:
    # Copying whole blocks is ten times as fast as selecting columns by a mask.
    return np.hstack([layers[i] for i in positions])


def _probe(
    features: Features, targets: Targets, supervision: Supervision
) -> tuple[Coefficients, np.ndarray, Targets]:
    """Return calibrated coefficients, intercept and held-out log probabilities of one source."""
    rows = seen_texts(len(features), supervision.random_state)
    axes = leading_axes(features[rows], _N_AXES, supervision.random_state)
    axes = axes[:, axes.any(0)][:, : len(features) - 1]
    projected = features @ axes
    if not axes.size:  # nothing varies, so the probe predicts the class shares
        projected = np.zeros((len(features), 1), dtype=np.float32)
        axes = np.zeros((features.shape[1], 1), dtype=np.float32)
    path = ridge_path(projected, weights=supervision.weights)
    penalty, _ = path.best(targets, supervision.groups)
    held_out = path.held_out(targets, penalty, supervision.groups)
    temperature = fit_temperature(held_out, supervision)
    coefficients, intercept = path.linear(projected, targets, penalty)
    return (
        (temperature * axes @ coefficients).astype(np.float32),
        (temperature * intercept).astype(np.float32),
        np.asarray(log_softmax(temperature * held_out, axis=1), dtype=np.float32),
    )


def centred(log_probabilities: Targets) -> Features:
    """Return log probabilities minus their mean over classes, float32, to feed a linear head."""
    mean = log_probabilities.mean(1, keepdims=True)
    return np.asarray(log_probabilities - mean, dtype=np.float32)
