"""``LayerScores``: one number per layer under a named criterion; higher is always better."""

import math
import reprlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from layerfuse.core.arrays import ClassIndices, Features, TextLayer
from layerfuse.core.errors import FeatureError, LayerError, ShapeError
from layerfuse.core.layers import LayerRef, as_refs, missing

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
        Standard error of each score over texts, in the score's unit; empty if the criterion gives
        none.
    per_text : float array of shape (text, layer), optional
        The numbers per text whose mean is the score, if there are any; for paired comparisons and
        resampling. Equality ignores them.
    """

    criterion: str
    refs: tuple[LayerRef, ...]
    values: tuple[float, ...]
    standard_errors: tuple[float, ...] = ()
    per_text: TextLayer | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Validate, and make tuples of lists and arrays."""
        object.__setattr__(self, "refs", as_refs(self.refs))
        for name in ("values", "standard_errors"):
            given = getattr(self, name)
            try:
                object.__setattr__(self, name, tuple(map(float, given)))
            except (TypeError, ValueError):
                msg = f"{name}={reprlib.repr(given)}: expected a tuple of one number per layer."
                raise ShapeError(msg) from None
        if not self.refs or len(self.refs) != len(self.values):
            msg = f"Expected one score per layer, got {len(self.refs)} and {len(self.values)}."
            raise ShapeError(msg)
        if len(set(self.refs)) != len(self.refs):
            msg = f"Expected each layer once, got {', '.join(map(str, self.refs))}."
            raise ShapeError(msg)
        if self.standard_errors and len(self.standard_errors) != len(self.values):
            msg = "Expected one standard error per score, or none at all."
            raise ShapeError(msg)
        if self.per_text is not None and self.per_text.shape[1] != len(self.refs):
            msg = (
                f"Expected a column for each of {len(self.refs)} layers, got {self.per_text.shape}."
            )
            raise ShapeError(msg)
        bad = [str(r) for r, v in zip(self.refs, self.values, strict=True) if not math.isfinite(v)]
        if bad:
            msg = f"criterion={self.criterion!r} gave no finite score for {', '.join(bad)}."
            raise FeatureError(msg)

    @classmethod
    def from_per_text(
        cls, criterion: str, refs: tuple[LayerRef, ...], per_text: TextLayer
    ) -> "LayerScores":
        """Return scores that are the mean over texts of each column, with standard errors.

        Parameters
        ----------
        criterion : str
            Name of the criterion.
        refs : tuple of LayerRef
            The layers.
        per_text : float array of shape (text, layer)
            One number per text and layer; kept.
        """
        errors = per_text.std(0) / np.sqrt(len(per_text))
        values = per_text.mean(0)
        return cls(criterion, refs, tuple(values.tolist()), tuple(errors.tolist()), per_text)

    @property
    def backbones(self) -> tuple[str, ...]:
        """Names of the backbones, in order of first appearance."""
        return tuple(dict.fromkeys(ref.backbone for ref in self.refs))

    def __getitem__(self, ref: LayerRef) -> float:
        """Return the score of one layer.

        Raises
        ------
        LayerError
            If the layer was not scored.
        """
        if ref not in self.refs:
            raise missing(ref, "was not scored. Scored", self.refs)
        return self.values[self.refs.index(ref)]

    def __iter__(self) -> Iterator[LayerRef]:
        """Iterate over the scored layers."""
        return iter(self.refs)

    def __len__(self) -> int:
        """Return the number of scored layers."""
        return len(self.refs)

    def of(self, backbone: str) -> "LayerScores":
        """Return the scores of one backbone only.

        Raises
        ------
        LayerError
            If none of its layers was scored.
        """
        refs = [ref for ref in self.refs if ref.backbone == backbone]
        if not refs:
            msg = f"No layer of {backbone} was scored. Scored: {', '.join(self.backbones)}."
            raise LayerError(msg)
        return self.among(refs)

    def among(self, refs: Iterable[LayerRef]) -> "LayerScores":
        """Return the scores of some of the layers only, in the order of ``self.refs``.

        Raises
        ------
        ShapeError
            If none of them was scored.
        """
        wanted = set(refs)
        rows = [i for i, ref in enumerate(self.refs) if ref in wanted]
        return LayerScores(
            self.criterion,
            tuple(self.refs[i] for i in rows),
            tuple(self.values[i] for i in rows),
            tuple(self.standard_errors[i] for i in rows) if self.standard_errors else (),
            None if self.per_text is None else self.per_text[:, rows],
        )

    def ranked(self) -> tuple[LayerRef, ...]:
        """Return the layers from best to worst; ties keep the order of ``refs``."""
        order = sorted(range(len(self.refs)), key=lambda i: -self.values[i])
        return tuple(self.refs[i] for i in order)

    @property
    def best(self) -> LayerRef:
        """The layer with the highest score; of equals, the first."""
        return self.ranked()[0]

    def near_best(self) -> tuple[LayerRef, ...]:
        """Return the layers within one standard error of the best, best first.

        This is the standard error of the paired difference if there is a number per text, otherwise
        that of the best score. Without standard errors, only the best layer is returned.

        Source
        ------
        The one-standard-error rule of Breiman et al. 1984, *CART*, section 3.4.3. It is paired
        because layers err on the same texts, so differences vary less than scores.
        """
        ranked = self.ranked()
        best = self.refs.index(ranked[0])
        values = np.array(self.values)
        if self.per_text is not None:
            gaps = self.per_text[:, [best]] - self.per_text
            allowed = gaps.std(0) / np.sqrt(len(gaps))
        elif self.standard_errors:
            allowed = np.full(len(values), self.standard_errors[best])
        else:
            return ranked[:1]
        near = values[best] - values <= allowed
        return tuple(ref for ref in ranked if near[self.refs.index(ref)])
