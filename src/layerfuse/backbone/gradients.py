"""Gradient of the loss of a probe on the deepest layer, at the states of every layer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from layerfuse.core.arrays import ClassIndices, Coefficients
from layerfuse.core.errors import ShapeError, check_option
from layerfuse.core.layers import POOLINGS, Pooling


@dataclass(frozen=True, slots=True, eq=False)
class ProbeLoss:
    """Cross-entropy of a linear classifier on the pooled states of the deepest layer.

    The classifier is fitted elsewhere.

    Parameters
    ----------
    coefficients : array of shape (hidden, class)
        One column per class. Logits are pooled states times these, plus the intercept.
    intercept : array of shape (class,)
        Intercept of each class.
    classes : int array of shape (text,)
        True class of each text of the sample, as a column of the coefficients.
    pooling : Pooling
        Pooling of token states.

    Raises
    ------
    ShapeError
        If there is not one intercept per class, or a text has a class without coefficients.
    UnknownOptionError
        If the pooling is unknown.
    """

    coefficients: Coefficients
    intercept: np.ndarray
    classes: ClassIndices
    pooling: Pooling = "mean"

    def __post_init__(self) -> None:
        """Validate."""
        check_option("pooling", self.pooling, POOLINGS)
        if self.coefficients.ndim != 2 or self.intercept.shape != self.coefficients.shape[1:]:  # noqa: PLR2004
            raise ShapeError(
                "Expected coefficients (hidden, class) and one intercept per class, got "
                f"{self.coefficients.shape} and {self.intercept.shape}."
            )
        n_classes = len(self.intercept)
        if not ((self.classes >= 0) & (self.classes < n_classes)).all():
            raise ShapeError(
                f"The probe has {n_classes} classes, but texts have the classes "
                f"{np.unique(self.classes).tolist()}."
            )

    def of(self, positions: np.ndarray, pooled: Tensor) -> Tensor:
        """Return the summed loss of some texts; the sum makes gradients independent of the batch.

        Parameters
        ----------
        positions : int array of shape (batch,)
            Positions of the texts in the sample.
        pooled : float32 Tensor of shape (batch, hidden)
            Their pooled states.

        Returns
        -------
        Tensor of shape ()
            Loss in nats.
        """
        coefficients, intercept = (
            torch.from_numpy(np.asarray(part, dtype=np.float32)).to(pooled.device)
            for part in (self.coefficients, self.intercept)
        )
        classes = torch.from_numpy(self.classes[positions]).long().to(pooled.device)
        return nn.functional.cross_entropy(
            pooled @ coefficients + intercept, classes, reduction="sum"
        )


def gradient_norms(loss: Tensor, states: Sequence[Tensor], mask: Tensor) -> Tensor:
    """Return the mean norm of state times gradient for each text and layer.

    It is the mean over tokens t of the Euclidean norm, over dimensions, of h_lt * dL/dh_lt, where *
    is the elementwise product and h_lt the state of token t at layer l.

    Parameters
    ----------
    loss : Tensor of shape ()
        Loss L, a sum over texts, computed from the states.
    states : sequence of Tensor of shape (batch, token, hidden)
        Token states of each layer.
    mask : Tensor of shape (batch, token)
        1 where there is a token, 0 where there is padding.

    Returns
    -------
    float32 Tensor of shape (batch, layer)
        Norms in nats.
    """
    # Not loss.backward(), which would store gradients in every tensor that requires them.
    gradients = torch.autograd.grad(loss, list(states))
    weights = mask / mask.sum(1, keepdim=True)
    norms = [
        (weights * (state.detach().float() * gradient.float()).norm(dim=-1)).sum(1)
        for state, gradient in zip(states, gradients, strict=True)
    ]
    return torch.stack(norms, dim=1)
