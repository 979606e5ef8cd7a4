"""``score_layers``: score every layer of every backbone under one criterion."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from layerfuse.core.arrays import ClassIndices, Features
from layerfuse.core.errors import FeatureError, LabelError, ShapeError, SignalError
from layerfuse.core.layers import LayerRows, as_blocks
from layerfuse.core.scores import Criterion, LayerScores
from layerfuse.core.signals import LayerSignals, SignalName
from layerfuse.core.texts import as_list
from layerfuse.data import index_labels
from layerfuse.score.criteria import criterion_info
from layerfuse.score.info import CriterionInfo, CriterionName, Evidence, by_layer


def score_layers(
    embeddings: LayerRows | Sequence[LayerRows],
    labels: Any,
    criterion: CriterionName | CriterionInfo | Criterion = "loo_ridge",
    *,
    signals: Sequence[LayerSignals] = (),
    random_state: int = 0,
) -> LayerScores:
    """Score every layer; higher is better under every criterion.

    Parameters
    ----------
    embeddings : LayerEmbeddings or sequence of them
        One per backbone, all of the same texts.
    labels : sequence of shape (text,)
        Labels as str, int or bool. None is allowed if the criterion needs no labels.
    criterion : CriterionName, CriterionInfo or callable
        A name; a criterion with other parameters, such as ``importance(weight=0.8)``; or any
        function (features, class indices) -> float.
    signals : sequence of LayerSignals
        Signals of the models that the criterion needs, one per backbone and name. Others are
        ignored.
    random_state : int
        Draws folds and samples, if the criterion uses any.

    Returns
    -------
    LayerScores
        Scores of all layers of all backbones, in the given order. Layers for which the criterion is
        undefined are left out: the embedding output has no attention.

    Raises
    ------
    UnknownOptionError
        If the criterion has an unknown name.
    LabelError
        If labels are needed and missing, one of them is missing, they are not all str, all int
        or all bool, or all are the same.
    SignalError
        If a signal is missing or passed twice.
    DataError
        If labels are not one column.
    ShapeError
        If embeddings are something else, such as an array; if backbones, or labels that are needed,
        differ in the number of texts; or if a backbone is passed twice.
    FeatureError
        If a layer holds NaN or infinity; the message names backbone and layer. If the caller's
        function returns no number, or one that is not finite.

    Examples
    --------
    >>> from layerfuse.core.layers import LayerEmbeddings, LayerRef
    >>> rng = np.random.default_rng(0)
    >>> noise = rng.normal(size=(3, 40, 2)).astype("float32")
    >>> noise[1, :20] += 3  # layer 1 separates the classes
    >>> layers = tuple(LayerRef("toy", i, "mean") for i in range(3))
    >>> scores = score_layers(LayerEmbeddings(noise, layers), ["a"] * 20 + ["b"] * 20)
    >>> str(scores.best)
    'toy:1:mean'
    """
    blocks = as_blocks(embeddings)
    info = _info(criterion)
    unused = info.label_free or labels is None
    column = None if unused else as_list(labels, "labels")  # a generator is read once
    _check_lengths(blocks, column)
    classes = np.empty(0, dtype=np.int64) if info.label_free else _classes(info, column)
    by_block = [_signals(info, block, signals) for block in blocks]
    measured = [
        pair
        for block, needed in zip(blocks, by_block, strict=True)
        for pair in info.scorer(Evidence(block, classes, needed, random_state)).items()
    ]
    refs = tuple(ref for ref, _ in measured)
    values = [np.asarray(value, dtype=np.float64) for _, value in measured]
    if all(value.ndim and len(value) == len(values[0]) for value in values):
        return LayerScores.from_per_text(info.name, refs, np.column_stack(values))
    errors = tuple(float(v.std() / np.sqrt(v.size)) for v in values)
    per_text = all(value.ndim for value in values)  # samples of texts may differ by backbone
    means = tuple(float(value.mean()) for value in values)
    return LayerScores(info.name, refs, means, errors if per_text else ())


def _info(criterion: CriterionName | CriterionInfo | Criterion) -> CriterionInfo:
    if isinstance(criterion, CriterionInfo):
        return criterion
    if not callable(criterion):
        return criterion_info(criterion)
    return CriterionInfo(
        name=_name(criterion),
        needs=frozenset({"labels"}),
        cost="unknown",
        source="the caller",
        summary="a function of the caller",
        scorer=by_layer(lambda features, labels: _number(criterion, features, labels), at_once=1),
    )


def _name(criterion: Criterion) -> str:
    return getattr(criterion, "__name__", type(criterion).__name__)


def _number(criterion: Criterion, features: Features, labels: ClassIndices) -> float:
    value: Any = criterion(features, labels)  # outside try: its errors are the caller's
    try:
        return float(value)
    except (TypeError, ValueError) as err:
        shape = f" of shape {tuple(value.shape)}" if hasattr(value, "shape") else ""
        raise FeatureError(
            f"criterion={_name(criterion)!r} returned {type(value).__name__}{shape}, expected one "
            "number for the layer, such as the mean over texts."
        ) from err


def _check_lengths(blocks: Sequence[LayerRows], labels: list[Any] | None) -> None:
    n_labels = blocks[0].n_texts if labels is None else len(labels)
    what = f"{blocks[0].backbone} {n_labels}" if labels is None else f"there are {n_labels} labels"
    for block in blocks:
        if block.n_texts != n_labels:
            raise ShapeError(f"{block.backbone} has {block.n_texts} texts, but {what}.")


def _classes(info: CriterionInfo, labels: list[Any] | None) -> ClassIndices:
    if labels is None:
        raise LabelError(f"criterion={info.name!r} needs labels, got none.")
    names, classes = index_labels(labels)
    if len(names) < 2:  # noqa: PLR2004
        raise LabelError(f"Expected labels of at least two classes, got {len(names)}.")
    return classes


def _signals(
    info: CriterionInfo, block: LayerRows, signals: Sequence[LayerSignals]
) -> dict[SignalName, LayerSignals]:
    needed: dict[SignalName, LayerSignals] = {}
    for name in info.signals:
        matching = [s for s in signals if (s.name, s.backbone) == (name, block.backbone)]
        if len(matching) != 1:
            have = ", ".join(f"{s.name} of {s.backbone}" for s in signals) or "none"
            raise SignalError(
                f"criterion={info.name!r} needs {name} of {block.backbone}, which only the model "
                f"can give. Pass one such LayerSignals in signals=[...]; got {have}."
            )
        needed[name] = matching[0]
    return needed
