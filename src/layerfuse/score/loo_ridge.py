"""``loo_ridge``: leave-one-out log loss of a ridge classifier, in closed form."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import scipy.linalg
from scipy.optimize import minimize_scalar

from layerfuse.core.arrays import Block, ClassIndices, Features, PerSample, PerText, Targets
from layerfuse.core.calibrate import log_sum_exp, wanted_decisions
from layerfuse.core.errors import FeatureError
from layerfuse.core.folds import held_out_weights
from layerfuse.core.leave_out import RidgeFit, loo_residuals
from layerfuse.core.ridge import N_PENALTIES, one_hot, present_classes, ridge_path
from layerfuse.core.sample import sample_texts
from layerfuse.core.standardize import Standardizer
from layerfuse.score.info import CriterionInfo, by_draw

MAX_JUDGED = 8192
"""Most texts that are left out; more would cost more than the fit itself, which uses all texts."""

_ROWS = 8192  # texts centred at once, so that they stay in the processor's cache


def loo_ridge(features: Features, labels: ClassIndices, random_state: int = 0) -> PerSample:
    """Score each text by minus the log loss of a ridge classifier fitted without it.

    Parameters
    ----------
    features : array of shape (text, feature)
        One layer. Standardised here.
    labels : int array of shape (text,)
        Class indices, at least two distinct.
    random_state : int
        Draws the 8,192 texts that are left out, if there are more texts than that and than
        features. Each classifier is fitted on all other texts even then.

    Returns
    -------
    array of shape (sample,)
        Minus the leave-one-out log loss of each text, in nats. As in the ridge head, the penalty is
        the one of 13 with the lowest Brier score, and one temperature is fitted. One added text of
        no class keeps it finite, so that layers without errors still differ; it is at least 1, so
        that layers no better than chance still differ. The mean is the layer's score: 0 is perfect,
        and a constant prediction of C balanced classes has -log C. The only text of a class has 0
        in every layer, because no fit without it knows the class.

    Raises
    ------
    LabelError
        If all labels are the same.
    FeatureError
        If features are not finite.

    Notes
    -----
    O(n d min(n, d) + min(n, d)^3) for all penalties and classes. Penalty and temperature are fitted
    on the same errors that give the score. Two numbers for thousands of texts favour no layer. The
    Brier score, the mean of the squared errors, would ignore rare classes.

    Source
    ------
    Allen 1974 (PRESS); Golub, Heath and Wahba 1979 for ridge. Guo et al. 2017, arXiv:1706.04599,
    for the temperature.
    """
    classes = present_classes(labels)
    targets, weights = one_hot(classes), held_out_weights(classes)
    if features.shape[1] > len(features):
        path = ridge_path(Standardizer.fit(features).apply(features))
        penalty, _ = path.best(targets)
        return _log_likelihoods(targets - path.loo_errors(targets, penalty), classes, weights)
    rows = sample_texts(classes, MAX_JUDGED, random_state)
    return _log_likelihoods(_held_out(rows, features, targets), classes[rows], weights[rows])


def _log_likelihoods(held_out: Targets, labels: ClassIndices, weights: PerText) -> PerSample:
    """Return log likelihoods under the best temperature; 0 for texts of weight 0, left out."""
    n_texts = len(labels)
    true_class = held_out[np.arange(n_texts), labels]
    # The added text of no class keeps the factor finite: otherwise all layers without errors would
    # score the same. It is at least 1: at 0, all layers no better than chance would.
    wanted = wanted_decisions(held_out, labels)
    by_class = np.ascontiguousarray(held_out.T)

    def loss(log_factor: float) -> float:
        factor = np.exp(log_factor)
        return float(weights @ (log_sum_exp(factor * by_class) - factor * wanted))

    best = np.exp(minimize_scalar(loss, bounds=(0.0, 8.0), method="bounded").x)
    return np.asarray(weights * (best * true_class - log_sum_exp(best * by_class)))


def _held_out(rows: np.ndarray, features: Features, targets: Targets) -> np.ndarray:
    """Return the leave-one-out decisions about the texts in ``rows``, (sample, class), in one pass.

    X'X is computed from features less the mean of a sample of texts. The sample mean is so close to
    the true mean that correcting for the difference afterwards loses no digits. The scale is
    applied to X'X afterwards too.
    """
    n_texts = len(features)
    near = features[:: max(1, n_texts // 1024)].mean(0, dtype=np.float64).astype(features.dtype)
    gram, sums = _products(features, near, targets)
    offset = sums.sum(1) / n_texts
    if not np.isfinite(offset).all():
        raise FeatureError("Expected finite features, found NaN or infinity.")
    counts = targets.sum(0)
    gram -= n_texts * np.outer(offset, offset)
    scale = Standardizer.of_moments(near + offset, np.diag(gram) / n_texts).scale
    gram *= np.outer(scale, scale)
    cross = scale[:, None] * (sums - np.outer(offset, counts))
    eigenvalues, vectors = scipy.linalg.eigh(
        gram.astype(features.dtype), driver="evd", overwrite_a=True, check_finite=False
    )
    keep = eigenvalues > max(float(eigenvalues[-1]), 0.0) * 4 * np.finfo(features.dtype).eps
    eigenvalues, axes = eigenvalues[keep], vectors[:, keep] / np.sqrt(eigenvalues[keep])
    mean_eigenvalue = float(eigenvalues.mean()) if len(eigenvalues) else 1.0
    penalties = np.logspace(-3, 3, N_PENALTIES) * mean_eigenvalue
    fit = RidgeFit((axes.T @ cross).astype(axes.dtype), eigenvalues, penalties)
    centre = near + offset.astype(features.dtype)
    left_out = features[rows] - centre
    basis = left_out @ (scale[:, None].astype(features.dtype) * axes)
    centred = targets[rows] - counts / n_texts
    losses = sum(
        np.einsum("tpc,tpc->p", errors, errors) for errors in _errors(fit, basis, centred, n_texts)
    )
    best = dataclasses.replace(fit, penalties=fit.penalties[[np.argmin(losses)]])
    errors = np.concatenate([part[:, 0] for part in _errors(best, basis, centred, n_texts)])
    return np.asarray(targets[rows] - errors)


def _errors(fit: RidgeFit, basis: Block, centred: Targets, n_texts: int) -> Iterator[np.ndarray]:
    """Yield the leave-one-out errors (text, penalty, class) in batches of texts."""
    for rows, fitted, leverages in fit.of(basis):
        yield loo_residuals(centred[rows], fitted, leverages + 1 / n_texts)


def _products(
    features: Features, near: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return X'X and X'Y, in double precision, of features minus a vector near their mean."""
    width = features.shape[1]
    gram = np.zeros((width, width), dtype=features.dtype)
    sums = np.zeros((targets.shape[1], width))
    columns = np.ascontiguousarray(targets.T, dtype=features.dtype)
    room = np.empty((_ROWS, width), dtype=features.dtype)
    for start in range(0, len(features), _ROWS):
        part = features[start : start + _ROWS]
        part = np.subtract(part, near, out=room[: len(part)])
        gram += part.T @ part
        sums += columns[:, start : start + _ROWS] @ part
    return gram.astype(np.float64), sums.T


LOO_RIDGE = CriterionInfo(
    name="loo_ridge",
    needs=frozenset({"labels"}),
    cost="O(n d min(n, d) + min(n, d)^3)",
    source="Allen 1974; Golub, Heath and Wahba 1979; Guo et al. 2017",
    summary="leave-one-out log loss of a ridge classifier",
    scorer=by_draw(loo_ridge),
)
