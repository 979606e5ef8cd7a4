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
"""More texts do not improve so few parameters, and need memory for each class and part."""

_SCHEDULE = Schedule(
    learning_rate=3e-3, weight_decay=0.1, batch_texts=128, max_epochs=100, patience=8
)
_KEPT = 0.9  # share of the parts of a text that dropout keeps


@runtime_checkable
class Combine(Protocol):
    """Maps weights of parts and outputs of the parts to logits (text, class)."""

    def __call__(self, xp: Any, weights: Any, outputs: Sequence[Any]) -> Any:
        """Compute logits in NumPy or torch; weights are (text, part), with mean 1 in each set."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """Weights of parts: a softmax, within each set of parts, of linear functions of a text.

    Parameters
    ----------
    weights : float32 array (member, part, input, part) or (member, set, input)
        The first form computes the score of every part from the inputs of all parts: a gate. The
        second compares the inputs of each part with one query per set: attention.
    bias : float32 array of shape (member, part)
        Added to the scores.
    scale : float32 array of shape (part, input)
        Factor on the inputs that gives them variance 1.
    sets : int array of shape (part,)
        The set of each part; weights sum to 1 within a set.
    prior : float32 array of shape (part,)
        Weights at the start of learning, the same for all texts; they sum to 1 in each set.
    trust : float
        0 .. 1; weights are ``trust`` times the learned ones plus ``1 - trust`` times the prior.
    """

    weights: np.ndarray
    bias: np.ndarray
    scale: np.ndarray
    sets: np.ndarray
    prior: np.ndarray
    trust: float

    @classmethod
    def constant(cls, sets: np.ndarray, prior: np.ndarray) -> "Gate":
        """Return a gate whose weights are the prior for all texts."""
        nothing = np.zeros((1, int(sets.max()) + 1, 1), dtype=np.float32)
        bias = np.zeros((1, len(sets)), dtype=np.float32)
        return cls(nothing, bias, np.zeros((len(sets), 1), dtype=np.float32), sets, prior, 0.0)

    @property
    def n_inputs(self) -> int:
        """Number of inputs of each part."""
        return int(self.scale.shape[1])

    def of(self, inputs: np.ndarray) -> Gates:
        """Return weights (text, part) for inputs (text, part, input), averaged over the members."""
        standard = inputs * self.scale
        members = [
            _weights(np, weights, bias + np.log(self.prior), standard, self.sets)
            for weights, bias in zip(self.weights, self.bias, strict=True)
        ]
        return self.shrunk(np.asarray(np.mean(members, axis=0, dtype=np.float32)))

    def shrunk(self, learned: Gates) -> Gates:
        """Return learned weights, shrunk towards the prior by ``trust``."""
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

    Classes of one text are left out: held-out outputs for this text are wrong under any weights,
    because no fit without it knows its class.
    """
    drawn = sample_texts(supervision.labels, MAX_LEARNING_TEXTS, supervision.random_state)
    return np.asarray(drawn[held_out_weights(supervision.labels[drawn]) > 0])


def fit_gate(
    inputs: np.ndarray,
    outputs: Sequence[np.ndarray],
    combine: Combine,
    sets: np.ndarray,
    prior: np.ndarray,
    supervision: Supervision,
    *,
    query: bool = False,
) -> tuple[Gate, Gates]:
    """Learn a gate on the held-out outputs of the parts.

    Learning starts from the prior. One member per fold is learned. ``trust``, which shrinks the
    learned weights towards the prior, is the value with the lowest log loss on the held-out folds.
    It is 0 unless this is better than the prior by more than one standard error of the paired
    difference, so gates that learned noise are not used.

    Parameters
    ----------
    inputs : float32 array of shape (text, part, input)
        Inputs of the gate, for all training texts.
    outputs : sequence of float32 arrays
        Held-out outputs of the parts that ``combine`` needs, for the ``learning_texts``; the first
        axis is the text.
    combine : Combine
        Maps weights and ``outputs`` to logits.
    sets : int array of shape (part,)
        The set of each part; weights sum to 1 within a set.
    prior : float32 array of shape (part,)
        Positive weights at the start of learning.
    supervision : Supervision
        Labels, weights and groups of all training texts.
    query : bool
        Whether to learn one query per set (attention) instead of a gate on the inputs of all parts.

    Returns
    -------
    gate : Gate
        The fitted gate.
    weights : float32 array of shape (text, part)
        Weights of the training texts, each by the member that did not see it.

    Source
    ------
    Gated multimodal units: Arevalo et al. 2017, arXiv:1702.01992, with a softmax instead of their
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
        shares = _weights(
            xp, parameters["weights"], parameters["bias"] + xp.asarray(logs), inputs[0], sets, noise
        )
        return combine(xp, shares * xp.asarray(sizes), inputs[1:])

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
        [inputs[rows] * scale, *outputs],
        known,
        names=["the inputs of the gate", *("the outputs of the sources" for _ in outputs)],
        schedule=_SCHEDULE,
    )
    weights, bias = (np.stack([p[name] for p, _ in members]) for name in ("weights", "bias"))
    learned = Gate(weights, bias, scale, sets, prior, trust=1.0)
    unseen = learned.of(inputs)
    for parameters, rest in members:
        held_out = inputs[rows[rest]] * scale
        member_bias = parameters["bias"] + logs
        unseen[rows[rest]] = _weights(np, parameters["weights"], member_bias, held_out, sets)

    def losses(trust: float) -> PerText:
        shrunk = replace(learned, trust=trust).shrunk(unseen[rows])
        logits = combine(np, shrunk * sizes, outputs)
        return text_log_losses(log_softmax(logits.astype(float), axis=1), labels)

    optimum = minimize_scalar(
        lambda trust: float(np.average(losses(trust), weights=text_weights)),
        bounds=(0.0, 1.0),
        method="bounded",
        options={"xatol": 1e-3},
    )
    gains = losses(0.0) - losses(float(optimum.x))
    helps = gain_in_errors(gains, text_weights, known.groups) > 1
    gate = replace(learned, trust=float(optimum.x) if helps else 0.0)
    return gate, gate.shrunk(unseen)


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
    powers = xp.exp(xp.clip(scores, -30, 30))  # so that no set underflows to 0
    members = xp.asarray(np.eye(int(sets.max()) + 1, dtype=np.float32)[sets])  # (part, set)
    if noise is not None:
        kept = noise.keep(powers.shape, _KEPT)
        emptied = 1 - xp.clip(kept @ members, 0, 1)  # 1 for a set without parts, which keeps all
        powers = powers * (kept + emptied @ members.T)
    return powers / ((powers @ members) @ members.T)
