"""The ridge head: a closed form, with exact leave-one-out validation of every penalty."""

import numpy as np

from layerfuse.core.arrays import Features
from layerfuse.core.ridge import one_hot, ridge_path
from layerfuse.core.supervision import Supervision
from layerfuse.train.head import HeadCandidate, LinearHead


def fit_ridge(features: Features, supervision: Supervision) -> tuple[HeadCandidate, LinearHead]:
    """Fit a ridge classifier on one-hot targets.

    Parameters
    ----------
    features : array of shape (text, feature)
        Centred, at most as many features as texts.
    supervision : Supervision
        Labels, weights and groups of the texts; a group is left out as a whole.

    Returns
    -------
    candidate : HeadCandidate
        Leave-one-out quality.
    head : LinearHead
        Fitted on all texts.
    """
    targets, groups = one_hot(supervision.labels), supervision.groups
    path = ridge_path(features, weights=supervision.weights)
    penalty, _ = path.best(targets, groups)
    held_out = targets - path.loo_errors(targets, penalty, groups)
    candidate, temperature = HeadCandidate.calibrated("ridge", penalty, held_out, supervision)
    coefficients, intercept = (
        part.astype(np.float32) for part in path.linear(features, targets, penalty)
    )
    return candidate, LinearHead("ridge", coefficients, intercept, temperature)
