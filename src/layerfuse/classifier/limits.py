"""Limits on the cost of prediction, with the costs measured on this machine."""

import math
from collections.abc import Sequence

from layerfuse.backbone import Backbone, measure_costs
from layerfuse.core.costs import Budget


def measured_budget(
    backbones: Sequence[Backbone],
    texts: Sequence[str],
    max_ms: float | None,
    max_mb: float | None,
    *,
    random_state: int = 0,
) -> Budget | None:
    """Measure the cost of each backbone by depth, if there are limits.

    Parameters
    ----------
    backbones : sequence of Backbone
        Uncut backbones.
    texts : sequence of str
        Texts like those that will be predicted.
    max_ms : float, optional
        Limit in milliseconds per text of many at once, for all backbones together.
    max_mb : float, optional
        Limit in MiB of weights, for all backbones together.
    random_state : int
        Seed for the texts on which time is measured.

    Returns
    -------
    Budget or None
        None without limits; then nothing is measured.
    """
    if max_ms is None and max_mb is None:
        return None
    return Budget(
        tuple(measure_costs(one, texts, random_state=random_state) for one in backbones),
        math.inf if max_ms is None else float(max_ms),
        math.inf if max_mb is None else float(max_mb) * 2**20,
    )
