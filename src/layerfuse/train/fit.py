"""``fit_head``: fit a head on fused vectors, validated on the training texts only."""

from collections.abc import Mapping
from typing import Literal, get_args, overload

import numpy as np

from layerfuse.core.arrays import ClassIndices, PerText
from layerfuse.core.calibrate import pool_gain_in_errors
from layerfuse.core.errors import FeatureError, LabelError, ShapeError, check_option
from layerfuse.core.supervision import Supervision
from layerfuse.core.vectors import Vectors
from layerfuse.train.axes import project
from layerfuse.train.blend import fit_blend
from layerfuse.train.head import Head, HeadCandidate, HeadName, LinearHead
from layerfuse.train.logistic import fit_logistic
from layerfuse.train.mlp import fit_mlp
from layerfuse.train.ridge import fit_ridge

HeadChoice = Literal["auto", HeadName]


@overload
def fit_head(
    features: Vectors, supervision: Supervision, *, head: Literal["ridge", "logistic", "blend"]
) -> tuple[LinearHead, tuple[HeadCandidate, ...]]: ...
@overload
def fit_head(
    features: Vectors, supervision: Supervision, *, head: HeadChoice = "auto"
) -> tuple[Head, tuple[HeadCandidate, ...]]: ...
def fit_head(
    features: Vectors, supervision: Supervision, *, head: HeadChoice = "auto"
) -> tuple[Head, tuple[HeadCandidate, ...]]:
    """Fit a head on fused vectors.

    Parameters
    ----------
    features : float32 array of shape (text, feature), or StreamedVectors
        Fused vectors.
    supervision : Supervision
        Labels, weights and groups of the texts. Its ``random_state`` draws the folds, and the texts
        that give the principal axes if there are very many.
    head : HeadChoice
        ``auto`` fits ridge and logistic regression, each with a temperature. It keeps their blend
        if its held-out log loss is lower by more than one standard error of the paired difference,
        otherwise the better of the two.

    Returns
    -------
    head : Head
        Fitted on all texts.
    candidates : tuple of HeadCandidate
        Held-out quality of each kind that was tried.

    Raises
    ------
    UnknownOptionError
        If head is unknown.
    FeatureError
        If all fused vectors are equal, or some are not finite.
    LabelError
        If fewer than two classes have two texts or more, or a class has no text.
    ShapeError
        If there is not one label per vector.
    """
    check_option("head", head, get_args(HeadChoice))
    _check(features, supervision.labels)
    projection = project(features, supervision.random_state)
    if projection.vectors.shape[1] == 0:
        raise FeatureError("All fused vectors are equal: there is nothing to learn from.")
    if head == "mlp":
        candidate, network = fit_mlp(projection.vectors, supervision)
        return network.lifted(projection.lift, projection.mean), (candidate,)
    fitted: list[tuple[HeadCandidate, LinearHead]] = []
    if head != "logistic":
        fitted.append(fit_ridge(projection.vectors, supervision))
    if head != "ridge":
        fitted.append(fit_logistic(projection.vectors, supervision))
    best = min(fitted, key=lambda pair: pair[0].log_loss)
    if head in {"auto", "blend"}:
        blend = fit_blend(fitted, supervision)
        gain = pool_gain_in_errors(best[0].held_out, blend[0].held_out, supervision)
        if head == "blend" or gain > 1:
            best = blend
        fitted.append(blend)
    lifted = best[1].lifted(projection.lift, projection.mean)
    return lifted, tuple(candidate for candidate, _ in fitted)


def _check(features: Vectors, labels: ClassIndices) -> None:
    if len(features) != len(labels):
        raise ShapeError(
            f"Expected one label per vector, got {len(features)} vectors, but {len(labels)} labels."
        )
    # The blocks of streamed vectors were checked before.
    if isinstance(features, np.ndarray) and not np.isfinite(features).all():
        raise FeatureError("Expected finite fused vectors, found NaN or infinity.")
    counts = np.bincount(labels)
    if counts.min() < 1 or np.count_nonzero(counts > 1) < 2:  # noqa: PLR2004
        raise LabelError(
            f"Expected at least two classes of at least two texts, got counts {counts.tolist()}."
        )


def class_weights(
    labels: ClassIndices, balanced: Mapping[int, float] | Literal["balanced"] | None
) -> PerText:
    """Return a weight per text.

    Parameters
    ----------
    labels : int array of shape (text,)
        Class indices.
    balanced : mapping, "balanced" or None
        Weight by class index. ``balanced`` gives every class the same total weight; None gives
        every text the same weight.

    Returns
    -------
    array of shape (text,)
        Positive weights of mean 1. Only their ratios matter; the penalties that heads try assume
        this mean.

    Raises
    ------
    LabelError
        If a given weight is not positive and finite.
    """
    if balanced is None:
        return np.ones(len(labels))
    if balanced == "balanced":
        counts = np.bincount(labels)
        return np.asarray(len(labels) / (len(counts) * counts[labels]))
    wrong = {label: weight for label, weight in balanced.items() if not 0 < weight < np.inf}
    if wrong:
        raise LabelError(f"Expected positive, finite class weights, got {wrong}.")
    weights = np.array([balanced.get(label, 1.0) for label in labels.tolist()])
    return np.asarray(weights / weights.mean())
