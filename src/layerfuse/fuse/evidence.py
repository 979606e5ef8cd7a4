"""Leave-one-out decisions of a ridge regression, split into the contributions of sources or layers.

This split is called *evidence*; fusions learn weights on it.
"""

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
    """Calibrated logits of held-out texts, split into contributions.

    Parameters
    ----------
    parts : float32 array of shape (text, part, class)
        Contribution of each source or layer.
    base : float32 array of shape (text, class)
        The logits without any part, which are the class shares.
    """

    parts: np.ndarray
    base: Targets


def held_out_evidence(scores: Callable[[], Iterable[Block]], supervision: Supervision) -> Evidence:
    """Split the leave-one-out decisions of one ridge regression into contributions of the parts.

    The features are the sum of the scores of all parts, so each decision is a sum over parts too.
    With A = X'WX + penalty I, leaving text i out changes the coefficients by -w_i A^-1 x_i e_i and
    the intercept by -w_i e_i / sum(w), where e_i is its leave-one-out residual. If a group is left
    out, the changes of its texts add up. This is exact and needs no second fit. Weights of parts
    that are learned on evidence are fitted to texts as unseen as new ones.

    Parameters
    ----------
    scores : callable
        Yields the (text, axis) scores of one part after another, on common axes. It is called
        twice, so that the scores of only one part are in memory at a time.
    supervision : Supervision
        Labels, weights and groups of these texts.

    Returns
    -------
    Evidence
        base + sum of parts is the leave-one-out decision times a temperature fitted on all texts.

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
    for part_scores in scores():
        part = part_scores[:, live].astype(np.float64)
        part -= path.weights @ part / len(part)
        learned = (part * moved).sum(1, keepdims=True) * weighted  # from labels that are left out
        for rows in together:
            learned[rows] = part[rows] @ (moved[rows].T @ weighted[rows])
        parts.append((temperature * (part @ coefficients - learned)).astype(np.float32))
    for rows in together:
        weighted[rows] = weighted[rows].sum(0)
    base = path.mean_target(targets) - weighted / len(total)
    return Evidence(np.stack(parts, axis=1), (temperature * base).astype(np.float32))
