"""What each source, or layer, adds to the decisions about a text that was held out."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from layerfuse.core.arrays import Block, Targets
from layerfuse.core.calibrate import fit_temperature
from layerfuse.core.leave_out import groups_of_several
from layerfuse.core.ridge import one_hot, ridge_path
from layerfuse.core.supervision import Supervision
from layerfuse.fuse.sources import sum_of


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Calibrated logits of held-out texts, taken apart.

    Parameters
    ----------
    parts : float32 array of shape (text, part, class)
        What each source or layer adds.
    base : float32 array of shape (text, class)
        What is left without any: the shares of the classes.
    """

    parts: np.ndarray
    base: Targets


def held_out_evidence(scores: Callable[[], Iterable[Block]], supervision: Supervision) -> Evidence:
    """Take the leave-one-out decisions of one ridge regression apart.

    The regression is on the sum of the scores of all parts, so that its decision about a text is a
    sum over parts too; with A = X'WX + penalty I, leaving text i out changes the coefficients by
    -w_i A^-1 x_i e_i and the intercept by -w_i e_i / sum(w), where e_i is its leave-one-out
    residual; of a group that is left out together, all changes add up. Exact, without a second fit.
    Weights of parts that are learned on it see each text as a new one will be seen.

    Parameters
    ----------
    scores : callable
        Gives the (text, axis) scores of one part after another, on common axes; called twice, so
        that those of one part are in memory at a time.
    supervision : Supervision
        Labels and weights of these texts.

    Returns
    -------
    Evidence
        base + sum of parts is the leave-one-out decision, times a temperature fitted on all.

    Source
    ------
    Sherman and Morrison 1950 for the coefficients; leave-one-out residuals as in ``core.ridge``.
    """
    total = sum_of(scores()).astype(np.float64)
    live = np.flatnonzero(np.ptp(total, axis=0) > 0)[: len(total)]
    targets = one_hot(supervision.labels)
    path = ridge_path(total[:, live], weights=supervision.weights)
    groups = supervision.groups
    penalty, _ = path.best(targets, groups)
    errors = path.loo_errors(targets, penalty, groups)
    temperature = fit_temperature(targets - errors, supervision)
    coefficients = path.coefficients(targets, penalty)
    mean = path.weights @ total[:, live] / len(total)
    moved = path.solve(total[:, live] - mean, penalty)  # rows A^-1 x_i
    weighted = path.weights[:, None] * errors
    together = groups_of_several(groups)
    parts = []
    for one in scores():
        own = one[:, live].astype(np.float64)
        own -= path.weights @ own / len(own)
        known = (own * moved).sum(1, keepdims=True) * weighted
        for rows in together:
            known[rows] = own[rows] @ (moved[rows].T @ weighted[rows])
        parts.append((temperature * (own @ coefficients - known)).astype(np.float32))
    for rows in together:
        weighted[rows] = weighted[rows].sum(0)
    base = path.mean_target(targets) - weighted / len(total)
    return Evidence(np.stack(parts, axis=1), (temperature * base).astype(np.float32))
