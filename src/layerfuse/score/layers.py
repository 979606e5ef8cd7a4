"""``score_layers``: a number for every layer of every backbone under one criterion."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from layerfuse.core.arrays import ClassIndices, Features, PerText
from layerfuse.core.errors import FeatureError, LabelError, ShapeError, check_option
from layerfuse.core.layers import LayerRef, LayerRows
from layerfuse.core.scores import Criterion, LayerScores
from layerfuse.core.texts import as_list
from layerfuse.score.depth import depth
from layerfuse.score.loo_ridge import loo_ridge
from layerfuse.score.probe import probe

CriterionName = Literal["loo_ridge", "probe", "depth"]

CRITERION_NAMES: tuple[CriterionName, ...] = get_args(CriterionName)

PerTextCriterion = Callable[[Features, ClassIndices], PerText]
"""A criterion that is the mean of one number per text, and so comes with a standard error."""

CRITERIA: Mapping[str, PerTextCriterion] = {"loo_ridge": loo_ridge, "probe": probe}
"""The criteria that look at features and labels; ``depth`` looks at neither."""


def score_layers(
    embeddings: LayerRows | Sequence[LayerRows],
    labels: Any,
    criterion: CriterionName | Criterion = "loo_ridge",
) -> LayerScores:
    """Score every layer; higher is better under every criterion.

    Parameters
    ----------
    embeddings : LayerEmbeddings or sequence of them
        One per backbone, all of the same texts.
    labels : sequence of shape (text,)
        Labels of any kind: str, int, bool. ``depth`` alone does without.
    criterion : CriterionName or callable
        A name, or any function (features, class indices) -> float.

    Returns
    -------
    LayerScores
        All layers of all backbones, in the order given.

    Raises
    ------
    UnknownOptionError
        If the criterion has an unknown name.
    LabelError
        If labels are missing or all the same.
    DataError
        If labels are not one column.
    ShapeError
        If backbones or labels disagree in the number of texts, or a backbone stands twice.
    FeatureError
        If a layer holds NaN; the message names backbone and layer.

    Examples
    --------
    >>> from layerfuse.core.layers import LayerEmbeddings
    >>> rng = np.random.default_rng(0)
    >>> noise = rng.normal(size=(3, 40, 2)).astype("float32")
    >>> noise[1, :20] += 3  # layer 1 tells the classes apart
    >>> layers = tuple(LayerRef("toy", i, "mean") for i in range(3))
    >>> scores = score_layers(LayerEmbeddings(noise, layers), ["a"] * 20 + ["b"] * 20)
    >>> str(scores.best)
    'toy:1:mean'
    """
    blocks = list(embeddings) if isinstance(embeddings, Sequence) else [embeddings]
    refs = tuple(ref for block in blocks for ref in block.refs)
    if criterion == "depth":
        deepest = {block.backbone: max(ref.layer for ref in block.refs) for block in blocks}
        return LayerScores("depth", refs, tuple(depth(ref, deepest[ref.backbone]) for ref in refs))
    if labels is None:
        raise LabelError(f"criterion={criterion!r} needs labels, got none.")
    names, classes = np.unique(np.asarray(as_list(labels, "labels")), return_inverse=True)
    for block in blocks:
        if block.n_texts != len(classes):
            raise ShapeError(
                f"{block.backbone} has {block.n_texts} texts, but there are {len(classes)} labels."
            )
    if len(names) < 2:  # noqa: PLR2004
        raise LabelError(f"Expected labels of at least two classes, got {len(names)}.")
    if callable(criterion):
        name = getattr(criterion, "__name__", type(criterion).__name__)
        values = tuple(
            float(criterion(block.row(ref), classes)) for block in blocks for ref in block.refs
        )
        return LayerScores(name, refs, values)
    check_option("criterion", criterion, CRITERION_NAMES)
    per_text = [
        _score(CRITERIA[criterion], block, ref, classes) for block in blocks for ref in block.refs
    ]
    return LayerScores(
        criterion,
        refs,
        tuple(float(values.mean()) for values in per_text),
        tuple(float(values.std() / np.sqrt(len(values))) for values in per_text),
    )


def _score(
    criterion: PerTextCriterion, block: LayerRows, ref: LayerRef, classes: ClassIndices
) -> PerText:
    try:
        return criterion(block.row(ref), classes)
    except FeatureError as err:
        raise FeatureError(f"{ref}: {err}") from err
