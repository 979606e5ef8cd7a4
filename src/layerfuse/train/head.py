"""``Head``: decision values and probabilities from fused vectors; ``LinearHead`` is one kind."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy.special import log_softmax, softmax

from layerfuse.core.arrays import Coefficients, Features, Targets
from layerfuse.core.calibrate import fit_temperature, gain_in_errors, text_log_losses
from layerfuse.core.supervision import Supervision
from layerfuse.train.axes import Lift

HeadName = Literal["ridge", "logistic", "blend", "mlp"]
CandidateName = Literal[HeadName, "lexical", "pooled"]

_NAMES: Mapping[str, str] = {"lexical": "TF-IDF head", "pooled": "ensemble with the TF-IDF head"}


class Head(ABC):
    """A fitted head on fused vectors.

    ``kind`` says how it was fitted. Probabilities are the softmax of the decision values times
    ``temperature``, which is fitted on held-out texts (Guo et al. 2017, arXiv:1706.04599).
    """

    __slots__ = ()

    kind: HeadName
    temperature: float

    @abstractmethod
    def decisions(self, features: Features) -> Targets:
        """Return decision values (text, class); the highest is the predicted class."""

    def probabilities(self, features: Features) -> Targets:
        """Return probabilities (text, class); rows sum to 1."""
        return np.asarray(softmax(self._logits(features), axis=1))

    def log_probabilities(self, features: Features) -> Targets:
        """Return log probabilities (text, class)."""
        return np.asarray(log_softmax(self._logits(features), axis=1))

    def _logits(self, features: Features) -> Targets:
        return np.asarray(self.temperature * self.decisions(features).astype(float))

    @abstractmethod
    def lifted(self, lift: Lift, mean: np.ndarray) -> "Head":
        """Return the same head for vectors before centring and projection."""

    @abstractmethod
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the whole state except ``kind``."""


@dataclass(frozen=True, slots=True, eq=False)
class LinearHead(Head):
    """A linear classifier with calibrated probabilities.

    Parameters
    ----------
    kind : HeadName
        How it was fitted.
    coefficients : float32 array of shape (feature, class)
        One column per class.
    intercept : float32 array of shape (class,)
        One number per class, added to the decision values.
    temperature : float
        Factor on decision values before the softmax, fitted on held-out texts; 1 for a blend, whose
        exponents include it.
    """

    kind: HeadName
    coefficients: Coefficients
    intercept: np.ndarray
    temperature: float = 1.0

    def decisions(self, features: Features) -> Targets:
        """Return decision values (text, class); the highest is the predicted class."""
        decisions: Targets = features @ self.coefficients + self.intercept
        return decisions

    def lifted(self, lift: Lift, mean: np.ndarray) -> "LinearHead":
        """Return the same head for vectors before centring and projection."""
        coefficients = lift(self.coefficients)
        intercept = self.intercept - mean @ coefficients
        return LinearHead(self.kind, coefficients, intercept.astype(np.float32), self.temperature)

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the whole state except ``kind``."""
        return {
            "coefficients": self.coefficients,
            "intercept": self.intercept,
            "temperature": np.array([self.temperature], dtype=np.float64),
        }

    @classmethod
    def from_arrays(cls, kind: HeadName, arrays: Mapping[str, np.ndarray]) -> "LinearHead":
        """Rebuild from ``arrays``."""
        temperature = float(arrays["temperature"][0])
        return cls(kind, arrays["coefficients"], arrays["intercept"], temperature)


@dataclass(frozen=True, slots=True)
class HeadCandidate:
    """Held-out quality of one kind of head on the training texts.

    Parameters
    ----------
    kind : CandidateName
        Kind of the head on fused vectors, ``lexical`` (the TF-IDF head), or ``pooled`` (both).
    penalty : float
        Best penalty of the grid, in the unit of this kind; 0 for a blend or pool, which has none.
    log_loss : float
        Weighted mean over held-out texts, in nats; lower is better.
    accuracy : float
        Share of held-out texts predicted correctly.
    held_out : array of shape (text, class)
        Log probabilities of each text by a fit that did not see its label; without rows after the
        head is chosen.
    """

    kind: CandidateName
    penalty: float
    log_loss: float
    accuracy: float
    held_out: Targets = field(compare=False, repr=False)

    @property
    def name(self) -> str:
        """What people read in place of ``kind``."""
        return _NAMES.get(self.kind, f"{self.kind} head")

    @classmethod
    def calibrated(
        cls, kind: CandidateName, penalty: float, decisions: Targets, supervision: Supervision
    ) -> "tuple[HeadCandidate, float]":
        """Fit a temperature on held-out decisions and evaluate them as ``from_logits`` does."""
        temperature = fit_temperature(decisions, supervision)
        logits = temperature * decisions
        return cls.from_logits(kind, penalty, logits, supervision), temperature

    @classmethod
    def from_logits(
        cls, kind: CandidateName, penalty: float, logits: Targets, supervision: Supervision
    ) -> "HeadCandidate":
        """Evaluate held-out logits (text, class); texts count by their weights in the log loss."""
        held_out = log_softmax(logits.astype(float), axis=1)
        labels, weights = supervision.labels, supervision.held_out_weights()
        accuracy = float((held_out.argmax(1) == labels).mean())
        losses = text_log_losses(held_out, labels)
        log_loss = float(np.average(losses, weights=weights))
        return cls(kind, penalty, log_loss, accuracy, held_out)

    def gain_errors(self, other: "HeadCandidate", supervision: Supervision) -> float:
        """Return by how many standard errors the log loss is lower than that of another one."""
        losses = [text_log_losses(one.held_out, supervision.labels) for one in (other, self)]
        weights = supervision.held_out_weights()
        return gain_in_errors(losses[0] - losses[1], weights, supervision.groups)
