"""The ridge head: closed form, every penalty validated by exact leave-one-out."""

import numpy as np

from layerfuse.core.arrays import ClassIndices, Features, PerText
from layerfuse.core.ridge import one_hot, ridge_path
from layerfuse.train.head import HeadCandidate, LinearHead


def fit_ridge(
    features: Features, labels: ClassIndices, weights: PerText, groups: np.ndarray | None = None
) -> tuple[HeadCandidate, LinearHead]:
    """Fit a ridge classifier on one-hot targets.

    Parameters
    ----------
    features : array of shape (text, feature)
        Centred, at most as many features as texts.
    labels, weights
        As in ``fit_head``.
    groups : int array of shape (text,), optional
        Texts that are left out together, from ``separable_groups``.

    Returns
    -------
    candidate : HeadCandidate
        Its leave-one-out quality.
    head : LinearHead
        Fitted on all texts.
    """
    targets = one_hot(labels)
    path = ridge_path(features, weights=weights)
    penalty, _ = path.best(targets, groups)
    held_out = targets - path.loo_errors(targets, penalty, groups)
    candidate, temperature = HeadCandidate.calibrated(
        "ridge", penalty, held_out, labels, weights, groups
    )
    coefficients, intercept = (
        part.astype(np.float32) for part in path.linear(features, targets, penalty)
    )
    return candidate, LinearHead("ridge", coefficients, intercept, temperature)
