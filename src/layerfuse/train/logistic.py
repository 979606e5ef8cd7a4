"""The logistic head: multinomial, L2-penalised, its penalty cross-validated."""

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from layerfuse.core.arrays import ClassIndices, Features, PerText, Targets
from layerfuse.train.head import HeadCandidate, LinearHead, held_out_log_loss

N_FOLDS = 5
INVERSE_PENALTIES = (4.0, 16.0, 64.0, 256.0)
"""For features whose rows have mean squared norm 1."""


def fit_logistic(
    features: Features, labels: ClassIndices, weights: PerText, random_state: int
) -> tuple[HeadCandidate, LinearHead]:
    """Fit a logistic regression.

    Parameters
    ----------
    features : array of shape (text, feature)
        Centred.
    labels : int array of shape (text,)
        Class indices.
    weights : array of shape (text,)
        Weight of each text.
    random_state : int
        Draws the folds.

    Returns
    -------
    candidate : HeadCandidate
        Its cross-validated quality; its penalty is scikit-learn's ``C``.
    head : LinearHead
        Fitted on all texts.
    """
    scale = float(np.sqrt(np.square(features).sum(1).mean())) or 1.0
    scaled = features / np.float32(scale)
    held_out = _held_out_logits(scaled, labels, weights, random_state)
    losses = [held_out_log_loss(logits, labels, weights) for logits in held_out]
    best = int(np.argmin(losses))
    penalty = INVERSE_PENALTIES[best]
    candidate = HeadCandidate.from_logits("logistic", penalty, held_out[best], labels, weights)
    model = _model(penalty)
    fit_quietly(model, scaled, labels, weights)
    coefficients, intercept = _columns(model, int(labels.max()) + 1)
    head = LinearHead("logistic", (coefficients / scale).astype(np.float32), intercept)
    return candidate, head


def _held_out_logits(
    features: Features, labels: ClassIndices, weights: PerText, random_state: int
) -> list[Targets]:
    """Return logits (text, class) of texts held out, one array per penalty."""
    n_classes = int(labels.max()) + 1
    # A class absent from a training fold cannot be predicted there: give it next to no probability.
    logits = [np.full((len(labels), n_classes), -30.0) for _ in INVERSE_PENALTIES]
    for train, held_out in stratified_folds(labels, random_state):
        model = _model(INVERSE_PENALTIES[0], warm_start=True)
        for row, inverse_penalty in zip(logits, INVERSE_PENALTIES, strict=True):
            model.set_params(C=inverse_penalty)
            fit_quietly(model, features[train], labels[train], weights[train])
            coefficients, intercept = _columns(model, n_classes)
            row[held_out] = features[held_out] @ coefficients + intercept
    return logits


def stratified_folds(
    labels: ClassIndices, random_state: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return stratified folds that never leave a class of two texts or more out of training."""
    n_folds = min(N_FOLDS, int(np.bincount(labels).max()))
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=random_state)
    with warnings.catch_warnings():
        # A class with fewer texts than folds stands in some of them only; that is fine here, while
        # fewer folds for the rarest class would validate all others on half of their texts.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        return list(folds.split(np.zeros(len(labels)), labels))


def _model(inverse_penalty: float, *, warm_start: bool = False) -> LogisticRegression:
    return LogisticRegression(C=inverse_penalty, max_iter=500, tol=1e-5, warm_start=warm_start)


def fit_quietly(model: LogisticRegression, features: Any, labels: Any, weights: PerText) -> None:
    """Fit without a word about iterations."""
    with warnings.catch_warnings():
        # The weakest penalties may stop early; validation then judges what came out, as it should.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, labels, sample_weight=weights)


def _columns(model: LogisticRegression, n_classes: int) -> tuple[Features, np.ndarray]:
    """Return (feature, class) coefficients and (class,) intercept; two columns for two classes."""
    coefficients, intercept = model.coef_.T, model.intercept_
    if coefficients.shape[1] == 1:
        coefficients = np.concatenate([-coefficients, coefficients], axis=1) / 2
        intercept = np.concatenate([-intercept, intercept]) / 2
    whole = np.zeros((len(coefficients), n_classes), dtype=np.float32)
    floor = np.full(n_classes, -30.0, dtype=np.float32)
    whole[:, model.classes_] = coefficients
    floor[model.classes_] = intercept
    return whole, floor
