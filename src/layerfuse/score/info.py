"""``CriterionInfo``: what a criterion is called, what it needs and costs, and how it scores."""

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
    "Knows nothing of the task, so that all tasks get the same layers; "
    "a poor guide to accuracy in published comparisons."
)
"""Warning of the criteria that look at no label."""

_MIN_TEXTS = 3
_ROWS = 2048  # looked at at once
_AT_ONCE = 4  # layers measured
_IN_MEMORY_BYTES = 2**30  # of layers measured at once; each takes up to twice as much for itself


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """All that a criterion may look at, of one backbone.

    Parameters
    ----------
    block : LayerRows
        The layers; read one row at a time.
    labels : int array of shape (text,)
        Class indices 0 .. n_classes - 1, each present; empty where the criterion needs none.
    signals : mapping of SignalName to LayerSignals
        Those that the criterion needs.
    random_state : int
        Of what is drawn.
    """

    block: LayerRows
    labels: ClassIndices
    signals: Mapping[SignalName, LayerSignals]
    random_state: int = 0

    def row(self, ref: LayerRef) -> Features:
        """Return the (text, feature) matrix of one layer, in float32 at least.

        Raises
        ------
        FeatureError
            If it is not finite; the message names backbone and layer.
        """
        features = self.block.row(ref)
        pieces = (features[i : i + _ROWS] for i in range(0, len(features), _ROWS))
        if not all(np.isfinite(piece).all() for piece in pieces):
            raise FeatureError(f"{ref}: Expected finite features, found NaN or infinity.")
        if features.dtype.itemsize < np.dtype(np.float32).itemsize:  # sums of squares overflow soon
            return features.astype(np.float32)
        return features


Measured = Mapping[LayerRef, PerText | float]
"""Per layer a number, or one per text whose mean it is and which give a standard error."""

Scorer = Callable[[Evidence], Measured]


@dataclass(frozen=True, slots=True)
class CriterionInfo:
    """A criterion; one stands at the end of each file of ``score``, named like it.

    Parameters
    ----------
    name : str
        What users call it.
    needs : frozenset of Need
        ``labels``, and names of the LayerSignals that must be passed.
    cost : str
        How it grows, for one layer: n texts, d features, C classes, L layers.
    source : str
        The paper.
    summary : str
        One line.
    scorer : callable
        From the evidence of one backbone to what was measured of its layers.
    warning : str
        Why not to trust it, where that is published; else empty.
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
        """Whether it knows nothing of the task."""
        return "labels" not in self.needs

    @property
    def signals(self) -> tuple[SignalName, ...]:
        """Names of the signals it needs, sorted."""
        return tuple(sorted(need for need in self.needs if need != "labels"))


def by_layer(
    measure: Callable[[Features, ClassIndices], PerText | float], *, at_once: int = _AT_ONCE
) -> Scorer:
    """Score each layer alone, from its features and the labels.

    Parameters
    ----------
    measure : callable
        (features, class indices) to a number, or one per text.
    at_once : int
        Layers measured side by side, each in a thread of its own; 1 for what threads may not share.

    Returns
    -------
    Scorer
        One that pickles where ``measure`` does, as a classifier with a criterion must.
    """
    return partial(_by_layer, measure, at_once)


def by_draw(measure: Callable[[Features, ClassIndices, int], PerText | float]) -> Scorer:
    """Score each layer alone, from its features, the labels and a seed: the same for all layers."""
    return partial(_by_draw, measure)


def without_labels(measure: Callable[[Features], float]) -> Scorer:
    """Score each layer alone, from its features.

    Raises
    ------
    ShapeError
        When called with fewer than three texts: nothing can be said of so few.
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

    def rows() -> Iterator[Features]:  # read by one thread: a store is not for several
        yield ready.pop()
        yield from map(evidence.row, others)

    return dict(zip((first, *others), side_by_side(measure, rows(), at_once=at_once), strict=True))
