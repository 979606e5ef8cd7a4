"""``LayerSignals``: attention or gradients of the layers of a backbone, on a sample of texts."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from layerfuse.core.arrays import TextLayer
from layerfuse.core.errors import FeatureError, ShapeError

SignalName = Literal["attention_entropy", "backbone_gradient"]


@dataclass(frozen=True, slots=True, eq=False)
class LayerSignals:
    """One number per text and layer, computed from the attention or gradients of the model.

    ``backbone`` computes them on a sample of texts. ``score``, which does not use torch, turns them
    into scores.

    Parameters
    ----------
    name : SignalName
        The quantity that was measured.
    backbone : str
        Name of the backbone.
    layers : tuple of int
        Layer of each column, ascending; layer 0, the embedding output, has no attention.
    values : float array of shape (text, layer)
        Finite.

    Raises
    ------
    ShapeError
        If there is not one column per layer, or no text.
    FeatureError
        If a value is not finite.
    """

    name: SignalName
    backbone: str
    layers: tuple[int, ...]
    values: TextLayer

    def __post_init__(self) -> None:
        """Validate."""
        if self.values.ndim != 2 or not len(self.values):  # noqa: PLR2004
            raise ShapeError(f"Expected an array (text, layer), got {self.values.shape}.")
        if self.values.shape[1] != len(self.layers) or len(set(self.layers)) != len(self.layers):
            raise ShapeError(
                f"Expected one column for each of the layers {self.layers}, "
                f"got {self.values.shape[1]}."
            )
        finite = np.isfinite(self.values).all(axis=0)
        if not finite.all():
            layer = self.layers[int(np.argmin(finite))]
            raise FeatureError(f"{self.name} of {self.backbone}, layer {layer}, is not finite.")
