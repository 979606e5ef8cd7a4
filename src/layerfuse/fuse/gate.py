"""``Gate``: weights of sources, or of the layers of a source, that depend on the text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from layerfuse.core.arrays import Gates, PerText
from layerfuse.core.calibrate import gain_in_errors, text_log_losses
from layerfuse.core.folds import held_out_weights
from layerfuse.core.sample import sample_texts
from layerfuse.core.supervision import Supervision
from layerfuse.learn import Noise, Parameters, Schedule, learn_committee

MAX_LEARNING_TEXTS = 16_384
"""More do not make so few parameters better, but take memory for each class and part."""

_SCHEDULE = Schedule(
    learning_rate=3e-3, weight_decay=0.1, batch_texts=128, max_epochs=100, patience=8
)
_KEPT = 0.9  # share of the parts that dropout leaves to a text


@runtime_checkable
class Combine(Protocol):
    """From weights of parts, and what the parts say, to logits (text, class)."""

    def __call__(self, xp: Any, weights: Any, said: Sequence[Any]) -> Any:
        """Compute logits in NumPy or torch; weights are (text, part), 1 in the mean of a set."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """A softmax over parts of a linear function of a text, in each of some sets of parts.

    Parameters
    ----------
    weights : float32 array (member, part, input, part) or (member, set, input)
        The first lets every part see the inputs of all: a gate. The second compares the inputs of
        each part with one query per set: attention.
    bias : float32 array of shape (member, part)
        Added to scores.
    scale : float32 array of shape (part, input)
        Multiplies inputs, so that their variance is 1.
    sets : int array of shape (part,)
        Within a set, weights sum to 1.
    prior : float32 array of shape (part,)
        Where learning starts, the same for all texts; sums to 1 in each set.
    trust : float
        Share of the learned weights, 0 to 1; the rest is the prior.
    """

    weights: np.ndarray
    bias: np.ndarray
    scale: np.ndarray
    sets: np.ndarray
    prior: np.ndarray
    trust: float

    @classmethod
    def constant(cls, sets: np.ndarray, prior: np.ndarray) -> "Gate":
        """Return a gate that is the same for all texts, and looks at nothing."""
        nothing = np.zeros((1, int(sets.max()) + 1, 1), dtype=np.float32)
        bias = np.zeros((1, len(sets)), dtype=np.float32)
        return cls(nothing, bias, np.zeros((len(sets), 1), dtype=np.float32), sets, prior, 0.0)

    @property
    def n_inputs(self) -> int:
        """Inputs of each part."""
        return int(self.scale.shape[1])

    def of(self, inputs: np.ndarray) -> Gates:
        """Return weights (text, part) for inputs (text, part, input); the mean of the members."""
        standard = inputs * self.scale
        members = [
            _weights(np, weights, bias + np.log(self.prior), standard, self.sets)
            for weights, bias in zip(self.weights, self.bias, strict=True)
        ]
        return self.drawn_back(np.asarray(np.mean(members, axis=0, dtype=np.float32)))

    def drawn_back(self, learned: Gates) -> Gates:
        """Return learned weights as far as they are trusted."""
        trusted: Gates = self.prior + np.float32(self.trust) * (learned - self.prior)
        return trusted

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the whole state."""
        return {
            "gate.weights": self.weights,
            "gate.bias": self.bias,
            "gate.scale": self.scale,
            "gate.sets": self.sets,
            "gate.prior": self.prior,
            "gate.trust": np.array([self.trust], dtype=np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Gate":
        """Rebuild from ``arrays``."""
        weights, bias, scale, sets, prior, trust = (
            arrays[f"gate.{name}"]
            for name in ("weights", "bias", "scale", "sets", "prior", "trust")
        )
        return cls(weights, bias, scale, sets, prior, float(trust[0]))


def learning_texts(supervision: Supervision) -> np.ndarray:
    """Return the positions of the training texts that gates are learned on, ascending.

    Of a class of one text none: nothing that did not see it knows its class, so that what the parts
    say of it is wrong whatever the gates are.
    """
    drawn = sample_texts(supervision.labels, MAX_LEARNING_TEXTS, supervision.random_state)
    return np.asarray(drawn[held_out_weights(supervision.labels[drawn]) > 0])


def fit_gate(
    inputs: np.ndarray,
    said: Sequence[np.ndarray],
    combine: Combine,
    sets: np.ndarray,
    prior: np.ndarray,
    supervision: Supervision,
    *,
    query: bool = False,
) -> tuple[Gate, Gates]:
    """Learn a gate from what the parts say about texts that they have not seen.

    It starts with the prior. One member per fold is learned; then ``trust``, which draws all back
    towards the prior, is what makes the texts of the held-out folds most likely; it is 0 unless
    that is better than the prior by more than one standard error of the paired difference, so that
    gates that learned noise are not used.

    Parameters
    ----------
    inputs : float32 array of shape (text, part, input)
        Of all training texts.
    said : sequence of float32 arrays
        What ``combine`` needs, of the ``learning_texts``; first axis text.
    combine : Combine
        From weights and ``said`` to logits.
    sets : int array of shape (part,)
        Within a set, weights sum to 1.
    prior : float32 array of shape (part,)
        Positive weights to start with.
    supervision : Supervision
        Of all training texts.
    query : bool
        Attention with a query per set instead of a gate that sees all parts.

    Returns
    -------
    gate : Gate
        Fitted.
    weights : float32 array of shape (text, part)
        Of the training texts, each by members that did not see it.

    Source
    ------
    Gated multimodal units: Arevalo et al. 2017, arXiv:1702.01992, with a softmax for their
    sigmoids, so that weights can be compared. Dropout of whole sources: Neverova et al. 2016,
    ModDrop, arXiv:1501.00102.
    """
    rows = learning_texts(supervision)
    deviation = inputs[rows].std(0, dtype=np.float64)
    scale = np.where(deviation > 0, 1 / np.where(deviation > 0, deviation, 1), 0)
    scale = scale.astype(np.float32)
    n_parts, n_inputs = scale.shape
    sizes = np.bincount(sets)[sets].astype(np.float32)
    logs = np.log(prior)
    shape = (int(sets.max()) + 1, n_inputs) if query else (n_parts, n_inputs, n_parts)

    def forward(
        xp: Any, parameters: Mapping[str, Any], inputs: Sequence[Any], noise: Noise | None
    ) -> Any:
        own = _weights(
            xp, parameters["weights"], parameters["bias"] + xp.asarray(logs), inputs[0], sets, noise
        )
        return combine(xp, own * xp.asarray(sizes), inputs[1:])

    def initial(_: np.random.Generator) -> Parameters:
        return {
            "weights": np.zeros(shape, dtype=np.float32),
            "bias": np.zeros(n_parts, dtype=np.float32),
        }

    known = supervision.of_texts(rows)
    labels, text_weights = known.labels, known.weights
    members = learn_committee(
        forward,
        initial,
        [inputs[rows] * scale, *said],
        known,
        names=["the inputs of the gate", *("what the sources say" for _ in said)],
        schedule=_SCHEDULE,
    )
    weights, bias = (np.stack([p[name] for p, _ in members]) for name in ("weights", "bias"))
    learned = Gate(weights, bias, scale, sets, prior, trust=1.0)
    unseen = learned.of(inputs)
    for parameters, rest in members:
        own = inputs[rows[rest]] * scale
        own_bias = parameters["bias"] + logs
        unseen[rows[rest]] = _weights(np, parameters["weights"], own_bias, own, sets)

    def losses(trust: float) -> PerText:
        mixed = replace(learned, trust=trust).drawn_back(unseen[rows])
        logits = combine(np, mixed * sizes, said)
        return text_log_losses(log_softmax(logits.astype(float), axis=1), labels)

    found = minimize_scalar(
        lambda trust: float(np.average(losses(trust), weights=text_weights)),
        bounds=(0.0, 1.0),
        method="bounded",
        options={"xatol": 1e-3},
    )
    gains = losses(0.0) - losses(float(found.x))
    helps = gain_in_errors(gains, text_weights, known.groups) > 1
    gate = replace(learned, trust=float(found.x) if helps else 0.0)
    return gate, gate.drawn_back(unseen)


def _weights(
    xp: Any, weights: Any, bias: Any, inputs: Any, sets: np.ndarray, noise: Noise | None = None
) -> Any:
    """Return (text, part) weights that sum to 1 in each set, in NumPy or torch."""
    if weights.ndim == 2:  # noqa: PLR2004 - a query per set
        scores = (inputs * weights[sets]).sum(-1) + bias
    else:
        n_parts, n_inputs = inputs.shape[1:]
        flat = inputs.reshape(len(inputs), n_parts * n_inputs)
        scores = flat @ weights.reshape(n_parts * n_inputs, n_parts) + bias
    powers = xp.exp(xp.clip(scores, -30, 30))  # so that no set of them vanishes beside another
    members = xp.asarray(np.eye(int(sets.max()) + 1, dtype=np.float32)[sets])  # (part, set)
    if noise is not None:
        kept = noise.keep(powers.shape, _KEPT)
        emptied = 1 - xp.clip(kept @ members, 0, 1)  # a set without parts says nothing: keep all
        powers = powers * (kept + emptied @ members.T)
    return powers / ((powers @ members) @ members.T)
