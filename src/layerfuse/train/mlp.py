"""The MLP head: a committee of networks with one hidden layer, one per fold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from layerfuse.core.arrays import Features, Targets
from layerfuse.core.supervision import Supervision
from layerfuse.learn import Noise, Parameters, Schedule, learn_committee
from layerfuse.train.axes import Lift
from layerfuse.train.head import Head, HeadCandidate, HeadName

N_HIDDEN = 128
"""The published head has layers of 1,024 and 256 units; five members make up for fewer units."""

_KEPT = 0.5  # share of hidden units that dropout keeps
_SCHEDULE = Schedule(learning_rate=1e-3, weight_decay=0.1, max_epochs=100, patience=8)


@dataclass(frozen=True, slots=True, eq=False)
class MLPHead(Head):
    """Several networks with one hidden layer, whose logits are averaged.

    Parameters
    ----------
    hidden : float32 array of shape (feature, member * unit)
        First layers of all members, concatenated.
    hidden_bias : float32 array of shape (member * unit,)
        Added before the ReLU.
    output : float32 array of shape (member * unit, class)
        Last layers of all members, concatenated and divided by the number of members.
    output_bias : float32 array of shape (class,)
        Mean of the members' output biases.
    temperature : float
        Factor on decision values before the softmax, fitted on held-out texts.

    Source
    ------
    Dropout: Srivastava et al. 2014, JMLR 15; the committee as in ``learn_committee``.
    """

    hidden: Features
    hidden_bias: np.ndarray
    output: np.ndarray
    output_bias: np.ndarray
    temperature: float
    kind: HeadName = field(default="mlp", init=False)

    def decisions(self, features: Features) -> Targets:
        """Return decision values (text, class); the highest is the predicted class."""
        return np.asarray(forward(np, self.arrays(), [features], None))

    def lifted(self, lift: Lift, mean: np.ndarray) -> "MLPHead":
        """Return the same head for vectors before centring and projection."""
        hidden = lift(self.hidden)
        bias = (self.hidden_bias - mean @ hidden).astype(np.float32)
        return MLPHead(hidden, bias, self.output, self.output_bias, self.temperature)

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the whole state except ``kind``."""
        return {
            "hidden": self.hidden,
            "hidden_bias": self.hidden_bias,
            "output": self.output,
            "output_bias": self.output_bias,
            "temperature": np.array([self.temperature], dtype=np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "MLPHead":
        """Rebuild from ``arrays``."""
        hidden, hidden_bias, output, output_bias, temperature = (
            arrays[name]
            for name in ("hidden", "hidden_bias", "output", "output_bias", "temperature")
        )
        return cls(hidden, hidden_bias, output, output_bias, float(temperature[0]))


def forward(
    xp: Any, parameters: Mapping[str, Any], inputs: Sequence[Any], noise: Noise | None
) -> Any:
    """Return logits (text, class), in NumPy or torch."""
    units = xp.clip(inputs[0] @ parameters["hidden"] + parameters["hidden_bias"], 0, None)
    if noise is not None:
        units = units * noise.keep(units.shape, _KEPT) / _KEPT
    return units @ parameters["output"] + parameters["output_bias"]


def fit_mlp(features: Features, supervision: Supervision) -> tuple[HeadCandidate, MLPHead]:
    """Fit a committee of networks.

    Parameters
    ----------
    features : array of shape (text, feature)
        Centred.
    supervision : Supervision
        Labels, weights and groups of the texts.

    Returns
    -------
    candidate : HeadCandidate
        Cross-validated quality of single members; the committee does better. The penalty is the
        weight decay.
    head : MLPHead
        The committee of all members.
    """
    # Features get variance 1 on average, not each: the variance of an axis shows its importance.
    scale = np.float32(1 / (np.sqrt(np.square(features).mean()) or 1.0))
    scaled = (features * scale).astype(np.float32)
    n_features, n_classes = features.shape[1], supervision.n_classes

    def initial(rng: np.random.Generator) -> Parameters:
        hidden = rng.normal(size=(n_features, N_HIDDEN)) * np.sqrt(2 / n_features)
        return {
            "hidden": hidden.astype(np.float32),  # He et al. 2015, arXiv:1502.01852
            "hidden_bias": np.zeros(N_HIDDEN, dtype=np.float32),
            "output": np.zeros((N_HIDDEN, n_classes), dtype=np.float32),
            "output_bias": np.zeros(n_classes, dtype=np.float32),
        }

    members = learn_committee(
        forward,
        initial,
        [scaled],
        supervision,
        names=["the fused vectors"],
        schedule=_SCHEDULE,
    )
    held_out = np.empty((len(features), n_classes))
    for parameters, rest in members:
        held_out[rest] = forward(np, parameters, [scaled[rest]], None)
    candidate, temperature = HeadCandidate.calibrated(
        "mlp", _SCHEDULE.weight_decay, held_out, supervision
    )
    learned = [parameters for parameters, _ in members]
    head = MLPHead(
        scale * np.concatenate([one["hidden"] for one in learned], axis=1),
        np.concatenate([one["hidden_bias"] for one in learned]),
        np.concatenate([one["output"] for one in learned]) / np.float32(len(learned)),
        np.asarray(np.mean([one["output_bias"] for one in learned], axis=0, dtype=np.float32)),
        temperature,
    )
    return candidate, head
