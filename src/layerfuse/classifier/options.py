"""The options of ``FusionClassifier``, checked before anything is loaded."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from layerfuse.backbone import Prompt
from layerfuse.classifier.fusing import FusionChoice
from layerfuse.core.errors import (
    LabelError,
    SelectionError,
    UnknownOptionError,
    as_integer,
    check_option,
)
from layerfuse.core.layers import POOLINGS, LayerRef
from layerfuse.core.spec import DTYPES
from layerfuse.fuse import FUSIONS, Residual
from layerfuse.score import CRITERION_NAMES, CriterionInfo
from layerfuse.select import SELECTOR_NAMES, SelectorName, most_layers
from layerfuse.train import HeadChoice

MOST_SEEDS = 2**32

FEWER_LAYERS_FROM_TEXTS = 2000
"""With fewer texts, held-out losses seldom differ by more than one standard error, so one layer or
backbone would be kept even where several are better."""

ONE_BACKBONE_FROM_TEXTS = 200
"""With fewer texts, the held-out loss of a backbone that was chosen on the same texts is too low.
Measured with 100 texts, where it is, and with 250 (``benchmarks/selections.py``)."""

SelectorChoice = Literal["auto"] | SelectorName

_CHOICES: Mapping[str, Sequence[str]] = {
    "criterion": CRITERION_NAMES,
    "selector": ("auto", *SELECTOR_NAMES),
    "fusion": ("auto", *FUSIONS),
    "head": get_args(HeadChoice),
    "dtype": DTYPES,
}


def check_options(parameters: Mapping[str, Any]) -> None:
    """Check every parameter that does not depend on the backbones or the labels.

    Parameters
    ----------
    parameters : mapping
        Constructor arguments by name.

    Raises
    ------
    UnknownOptionError
        If a value is unknown; lists the choices and the nearest one.
    SelectionError
        As ``check_limits``.
    """
    for name, choices in _CHOICES.items():
        value = parameters[name]
        if name != "criterion" or not (isinstance(value, CriterionInfo) or callable(value)):
            check_option(name, value, choices)
    check_limits(parameters["selector"], parameters["max_ms"], parameters["max_mb"])
    lexical = parameters["lexical"]
    if not isinstance(lexical, bool | np.bool_) and lexical != "auto":
        raise UnknownOptionError(f"lexical={lexical!r} is unknown. Choose 'auto', True or False.")
    check_seed("random_state", parameters["random_state"])
    for name in ("k", "max_tokens"):
        if parameters[name] is not None:
            as_integer(name, parameters[name])
    for one in _one_or_several("prompt", parameters["prompt"], "a string"):
        Prompt.parse(one)
    if parameters["pooling"] is not None:
        poolings = f"one of {', '.join(POOLINGS)}"
        for one in _one_or_several("pooling", parameters["pooling"], poolings):
            check_option("pooling", one, POOLINGS)


def _one_or_several(name: str, value: Any, expected: str) -> Sequence[Any]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple):
        raise UnknownOptionError(f"{name}={value!r}: expected {expected}, or a list of them.")
    return value


def check_seed(name: str, seed: Any) -> None:
    """Raise ``UnknownOptionError`` unless NumPy, torch and scikit-learn accept the seed."""
    if not 0 <= as_integer(name, seed) < MOST_SEEDS:
        raise UnknownOptionError(f"{name}={seed}: expected 0 to {MOST_SEEDS - 1}.")


def check_limits(selector: str, max_ms: float | None, max_mb: float | None) -> None:
    """Raise ``SelectionError`` unless limits and the selector ``budget`` are given together."""
    limited = max_ms is not None or max_mb is not None
    if limited != (selector == "budget"):
        raise SelectionError(
            f"selector={selector!r}, max_ms={max_ms}, max_mb={max_mb}: the selector 'budget' and a "
            "limit belong together. Give both or neither."
        )


def selectors_of(
    selector: SelectorChoice, k: int | None, fusion: FusionChoice, n_texts: int
) -> tuple[tuple[SelectorName, int | None], ...]:
    """Return the selectors to try, in the order of ``fuse_best``: a later one must be better.

    Parameters
    ----------
    selector : SelectorChoice
        ``auto`` is ``upper_top``, and from 200 texts on held-out training texts decide: below 2,000
        they may replace it by ``best_backbone``; from there on it comes last, after ``top`` with
        one layer and ``best_backbone``. Any other selector stands alone.
    k : int, optional
        Number of layers; if given, ``auto`` is ``upper_top``.
    fusion : FusionChoice
        If this is a fusion that combines sources, ``auto`` is ``upper_top``, which leaves out no
        backbone.
    n_texts : int
        Number of training texts, near-duplicates counted once.

    Returns
    -------
    tuple of (SelectorName, int or None)
        Selectors, each with its number of layers.
    """
    if selector != "auto":
        return ((selector, k),)
    if k is not None or fusion not in {"auto", "concat"}:
        return (("upper_top", k),)
    if n_texts >= FEWER_LAYERS_FROM_TEXTS:
        return (("top", 1), ("best_backbone", None), ("upper_top", None))
    if n_texts >= ONE_BACKBONE_FROM_TEXTS:
        return (("upper_top", None), ("best_backbone", None))
    return (("upper_top", None),)


def wants_sources(selector: SelectorChoice, k: int | None, fusion: FusionChoice) -> bool:
    """Return whether the fusion needs several sources and the user did not specify the layers.

    Parameters
    ----------
    selector, k, fusion
        As in ``selectors_of``.
    """
    named = selector != "auto" or k is not None
    return not named and fusion != "auto" and issubclass(FUSIONS[fusion], Residual)


def check_refs(
    selector: SelectorChoice,
    k: int | None,
    fusion: FusionChoice,
    refs: Sequence[Sequence[LayerRef]],
) -> None:
    """Raise, before the long work, if the options cannot be met whatever the scores.

    Parameters
    ----------
    selector : SelectorChoice
        Name of the selector.
    k : int, optional
        Number of layers.
    fusion : FusionChoice
        Name of the fusion.
    refs : sequence of sequence of LayerRef
        All layers of each backbone.

    Raises
    ------
    SelectionError
        If there are fewer than k layers, or the selector takes no k; if the fusion combines sources
        but there is only one source or only one layer would be chosen.
    """
    if k is not None:
        most, which = most_layers("upper_top" if selector == "auto" else selector, refs)
        if not 1 <= k <= most:
            raise SelectionError(
                f"k={k}, but there are {most} layers in {which}. Choose 1 to {most}."
            )
    kind = None if fusion == "auto" else FUSIONS[fusion]
    if kind is None or not issubclass(kind, Residual):
        return
    kind.check_sources([ref for of_backbone in refs for ref in of_backbone])
    if k == 1 and (len(refs) == 1 or selector not in {"best", "budget"}):
        raise SelectionError(
            f"{fusion} combines sources, but k=1 is a single layer. Leave k out, or choose another "
            "fusion."
        )


def weight_by_index(
    class_weight: str | Mapping[Any, Any] | None, labels: Sequence[Any]
) -> Literal["balanced"] | Mapping[int, float] | None:
    """Return class weights by class index.

    Parameters
    ----------
    class_weight : "balanced", mapping or None
        Weights by label.
    labels : sequence of str, int or bool
        All classes, in order.

    Returns
    -------
    "balanced", mapping of int to float, or None
        The same weights.

    Raises
    ------
    UnknownOptionError
        If the value has another type, a weight is not a number, or the mapping has an unknown label
        and lacks a class.
    LabelError
        If a weight is not positive and finite.
    """
    if class_weight is None:
        return None
    if isinstance(class_weight, str):
        check_option("class_weight", class_weight, ["balanced"])
        return "balanced"
    if not isinstance(class_weight, Mapping):
        raise UnknownOptionError(
            f"class_weight={class_weight!r}: expected 'balanced', a dict of weights by label, or "
            "None."
        )
    # Extra labels are allowed, because a fold may lack a class. But if a class has no weight, an
    # unknown label is probably mistyped.
    complete = all(label in class_weight for label in labels)
    for label, weight in class_weight.items():
        if label not in labels and not complete:
            raise UnknownOptionError.from_options("class_weight", label, map(str, labels))
        if not isinstance(weight, int | float | np.number):
            raise UnknownOptionError(
                f"class_weight of {label!r}: expected a number, got {weight!r}."
            )
        if not 0 < weight < np.inf:
            raise LabelError(
                f"class_weight of {label!r}: expected positive, finite class weights, got {weight}."
            )
    return {i: class_weight[label] for i, label in enumerate(labels) if label in class_weight}
