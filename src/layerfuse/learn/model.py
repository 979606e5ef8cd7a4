"""Types of training by gradient: a model is one function, written for NumPy and torch alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

Parameters = Mapping[str, np.ndarray]
"""All learned parameters, as float32 arrays by name."""


@runtime_checkable
class Noise(Protocol):
    """Draws dropout masks; used only in training."""

    def keep(self, shape: Sequence[int], share: float) -> Any:
        """Return zeros and ones of a shape; each is 1 with probability ``share``."""
        ...


@runtime_checkable
class Forward(Protocol):
    """Computes logits (text, class) from parameters and inputs of some texts.

    It is written once, in operations that have the same name in NumPy and torch. torch runs it in
    training, NumPy in prediction. So prediction needs no torch, and the two cannot diverge.
    """

    def __call__(
        self, xp: Any, parameters: Mapping[str, Any], inputs: Sequence[Any], noise: Noise | None
    ) -> Any:
        """Compute logits.

        Parameters
        ----------
        xp : module
            ``numpy`` or ``torch``.
        parameters : mapping
            Arrays or tensors.
        inputs : sequence
            Arrays or tensors, text axis first.
        noise : Noise or None
            For dropout in training; None in prediction.
        """
        ...


@dataclass(frozen=True, slots=True)
class Schedule:
    """Settings of the training loop.

    Parameters
    ----------
    learning_rate : float
        Learning rate of AdamW.
    weight_decay : float
        Weight decay of AdamW, on parameters with two or more axes; intercepts have none.
    batch_texts : int
        Most texts in a mini-batch. Batches are equal. Few texts make smaller ones: eight an epoch,
        or as many as 16 texts each allow.
    max_epochs : int
        Largest number of passes over the texts.
    patience : int
        Number of epochs without a lower validation loss after which training stops.
    """

    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    batch_texts: int = 256
    max_epochs: int = 60
    patience: int = 6


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """Result of training.

    Parameters
    ----------
    parameters : Parameters
        Parameters of the epoch with the lowest validation loss.
    losses : tuple of float
        Validation loss in nats: before the first epoch, then after each.
    """

    parameters: Parameters
    losses: tuple[float, ...]
