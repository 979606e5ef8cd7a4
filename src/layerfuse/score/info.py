"""``CriterionInfo``: the name, needs, cost and scoring function of a criterion."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np

from layerfuse.core.arrays import ClassIndices, Features, PerText
from layerfuse.core.errors import FeatureError, ShapeError
from layerfuse.core.layers import LayerRef, LayerRows
from layerfuse.core.signals import LayerSignals, SignalName
from layerfuse.core.threads import side_by_side

CriterionName = Literal[
    "loo_ridge",
    "probe",
    "depth",
    "importance",
    "gradient",
    "attention_entropy",
    "backbone_gradient",
    "mdl",
    "logme",
    "hscore",
    "fisher",
    "knn",
    "transrate",
    "gbc",
    "cka_label",
    "matrix_entropy",
    "rankme",
    "alpha_req",
    "twonn",
    "curvature",
    "anisotropy",
]

Need = Literal["labels", SignalName]

BLIND = (
    "Knows nothing of the task, so all tasks get the same layers; "
    "a poor guide to accuracy in published comparisons."
)
"""Warning of the criteria that use no labels."""

_MIN_TEXTS = 3
_ROWS = 2048  # texts checked at once
_AT_ONCE = 4  # layers scored at once
_IN_MEMORY_BYTES = 2**30  # of layers scored at once; scoring needs up to twice as much besides


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Everything that a criterion may use, for one backbone.

    Parameters
    ----------
    block : LayerRows
        Embeddings of the layers; read one layer at a time.
    labels : int array of shape (text,)
        Class indices 0 .. n_classes - 1, each present; empty if the criterion needs no labels.
    signals : mapping of SignalName to LayerSignals
        Signals that the criterion needs.
    random_state : int
        Seed of random draws.
    """

    block: LayerRows
    labels: ClassIndices
    signals: Mapping[SignalName, LayerSignals]
    random_state: int = 0

    def row(self, ref: LayerRef) -> Features:
        """Return the (text, feature) matrix of one layer, in float32 or wider.

        Raises
        ------
        FeatureError
            If the layer is not finite; the message names backbone and layer.
        """
        features = self.block.row(ref)
        pieces = (features[i : i + _ROWS] for i in range(0, len(features), _ROWS))
        if not all(np.isfinite(piece).all() for piece in pieces):
            raise FeatureError(f"{ref}: Expected finite features, found NaN or infinity.")
        if features.dtype.itemsize < np.dtype(np.float32).itemsize:  # squares overflow
            return features.astype(np.float32)
        return features


Measured = Mapping[LayerRef, PerText | float]
"""The score of each layer, or one number per text whose mean is the score."""

Scorer = Callable[[Evidence], Measured]


@dataclass(frozen=True, slots=True)
class CriterionInfo:
    """A criterion with its description; the file of each criterion ends with its own.

    Parameters
    ----------
    name : str
        Name for users.
    needs : frozenset of Need
        ``labels`` if it needs labels, and names of the LayerSignals it needs.
    cost : str
        Cost for one layer in n texts, d features, C classes and L layers.
    source : str
        Papers it comes from.
    summary : str
        Description in one line.
    scorer : callable
        Maps the evidence of one backbone to the scores of its layers.
    warning : str
        Why not to trust it; empty if there is no warning.
    """

    name: str
    needs: frozenset[Need]
    cost: str
    source: str
    summary: str
    scorer: Scorer = field(repr=False, compare=False)
    warning: str = ""

    @property
    def label_free(self) -> bool:
        """Whether it needs no labels."""
        return "labels" not in self.needs

    @property
    def signals(self) -> tuple[SignalName, ...]:
        """Names of the signals it needs, sorted."""
        return tuple(sorted(need for need in self.needs if need != "labels"))


def by_layer(
    measure: Callable[[Features, ClassIndices], PerText | float], *, at_once: int = _AT_ONCE
) -> Scorer:
    """Return a scorer that scores each layer separately, from its features and the labels.

    Parameters
    ----------
    measure : callable
        Maps (features, class indices) to a number, or to one number per text.
    at_once : int
        Layers scored at the same time, each in its own thread; 1 if ``measure`` is not thread-safe.

    Returns
    -------
    Scorer
        Can be pickled if ``measure`` can, which a classifier with a criterion needs.
    """
    return partial(_by_layer, measure, at_once)


def by_draw(measure: Callable[[Features, ClassIndices, int], PerText | float]) -> Scorer:
    """Return a scorer that also passes a seed to ``measure``, the same for all layers."""
    return partial(_by_draw, measure)


def without_labels(measure: Callable[[Features], float]) -> Scorer:
    """Return a scorer that scores each layer separately, from its features alone.

    Raises
    ------
    ShapeError
        When the scorer is called with fewer than three texts.
    """
    return partial(_without_labels, measure)


def _by_layer(
    measure: Callable[[Features, ClassIndices], PerText | float], at_once: int, evidence: Evidence
) -> Measured:
    return _measured(lambda row: measure(row, evidence.labels), evidence, at_once)


def _by_draw(
    measure: Callable[[Features, ClassIndices, int], PerText | float], evidence: Evidence
) -> Measured:
    labels, seed = evidence.labels, evidence.random_state
    return _measured(lambda row: measure(row, labels, seed), evidence, _AT_ONCE)


def _without_labels(measure: Callable[[Features], float], evidence: Evidence) -> Measured:
    if evidence.block.n_texts < _MIN_TEXTS:
        raise ShapeError(
            f"Expected at least {_MIN_TEXTS} texts, got {evidence.block.n_texts} "
            f"of {evidence.block.backbone}."
        )
    return _measured(measure, evidence, _AT_ONCE)


def _measured(
    measure: Callable[[Features], PerText | float], evidence: Evidence, at_once: int
) -> Measured:
    first, *others = evidence.block.refs
    ready = [evidence.row(first)]
    at_once = max(1, min(at_once, _IN_MEMORY_BYTES // max(1, ready[0].nbytes)))

    def rows() -> Iterator[Features]:  # read by one thread, because a store is not thread-safe
        yield ready.pop()
        yield from map(evidence.row, others)

    return dict(zip((first, *others), side_by_side(measure, rows(), at_once=at_once), strict=True))
