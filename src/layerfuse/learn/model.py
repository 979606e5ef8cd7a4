"""What learns by gradient: a function of parameters and inputs, written once for two libraries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

Parameters = Mapping[str, np.ndarray]
"""Named float32 arrays: everything that is learned."""


@runtime_checkable
class Noise(Protocol):
    """Draws what dropout drops; there is none outside of training."""

    def keep(self, shape: Sequence[int], share: float) -> Any:
        """Return zeros and ones of a shape; a share of them, on average, is 1."""
        ...


@runtime_checkable
class Forward(Protocol):
    """From parameters and inputs of some texts to logits (text, class).

    Written once, in operations that NumPy and torch have under the same name: torch runs it while
    it learns, NumPy ever after. So prediction needs no torch, and the two cannot come apart.
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
            For dropout; None means to predict.
        """
        ...


@dataclass(frozen=True, slots=True)
class Schedule:
    """How the one training loop goes.

    Parameters
    ----------
    learning_rate : float
        Of AdamW.
    weight_decay : float
        Of AdamW, on parameters of two axes and more; intercepts stay free.
    batch_texts : int
        Texts in a mini-batch.
    max_epochs : int
        Times that every text is seen, at most.
    patience : int
        Epochs without a lower validation loss after which it stops.
    """

    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    batch_texts: int = 256
    max_epochs: int = 60
    patience: int = 6


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What the loop found.

    Parameters
    ----------
    parameters : Parameters
        Those of the epoch with the lowest validation loss.
    losses : tuple of float
        Validation loss in nats: before the first epoch, then after each.
    """

    parameters: Parameters
    losses: tuple[float, ...]
