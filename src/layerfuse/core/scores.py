"""``LayerScores``: one number per layer under a named criterion; higher is better, always."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from layerfuse.core.arrays import ClassIndices, Features
from layerfuse.core.errors import FeatureError, LayerError, ShapeError
from layerfuse.core.layers import LayerRef

Criterion = Callable[[Features, ClassIndices], float]
"""Scores one layer from its (text, feature) matrix and class indices; higher is better."""


@dataclass(frozen=True, slots=True)
class LayerScores:
    """Scores of some layers under one criterion.

    Parameters
    ----------
    criterion : str
        Name of the criterion.
    refs : tuple of LayerRef
        The layers, of one or several backbones.
    values : tuple of float
        One finite score per layer; higher is better.
    standard_errors : tuple of float, optional
        Standard error of each score over texts, in the score's unit; empty where the criterion
        gives none.
    """

    criterion: str
    refs: tuple[LayerRef, ...]
    values: tuple[float, ...]
    standard_errors: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Validate."""
        if not self.refs or len(self.refs) != len(self.values):
            msg = f"Expected one score per layer, got {len(self.refs)} and {len(self.values)}."
            raise ShapeError(msg)
        if len(set(self.refs)) != len(self.refs):
            msg = f"Scores hold each layer once, got {', '.join(map(str, self.refs))}."
            raise ShapeError(msg)
        if self.standard_errors and len(self.standard_errors) != len(self.values):
            msg = "Expected one standard error per score, or none at all."
            raise ShapeError(msg)
        bad = [str(r) for r, v in zip(self.refs, self.values, strict=True) if not math.isfinite(v)]
        if bad:
            msg = f"criterion={self.criterion!r} gave no finite score for {', '.join(bad)}."
            raise FeatureError(msg)

    @property
    def backbones(self) -> tuple[str, ...]:
        """Names of the backbones, in order of first appearance."""
        return tuple(dict.fromkeys(ref.backbone for ref in self.refs))

    def __getitem__(self, ref: LayerRef) -> float:
        """Return the score of one layer.

        Raises
        ------
        LayerError
            If it was not scored.
        """
        if ref not in self.refs:
            msg = f"{ref} was not scored. Scored: {', '.join(map(str, self.refs))}."
            raise LayerError(msg)
        return self.values[self.refs.index(ref)]

    def of(self, backbone: str) -> "LayerScores":
        """Return the scores of one backbone only.

        Raises
        ------
        LayerError
            If none of its layers was scored.
        """
        rows = [i for i, ref in enumerate(self.refs) if ref.backbone == backbone]
        if not rows:
            msg = f"No layer of {backbone} was scored. Scored: {', '.join(self.backbones)}."
            raise LayerError(msg)
        return LayerScores(
            self.criterion,
            tuple(self.refs[i] for i in rows),
            tuple(self.values[i] for i in rows),
            tuple(self.standard_errors[i] for i in rows) if self.standard_errors else (),
        )

    def ranked(self) -> tuple[LayerRef, ...]:
        """Return the layers from best to worst; ties keep the order of the rows."""
        order = sorted(range(len(self.refs)), key=lambda i: -self.values[i])
        return tuple(self.refs[i] for i in order)

    @property
    def best(self) -> LayerRef:
        """The layer with the highest score; the first of equals."""
        return self.ranked()[0]
