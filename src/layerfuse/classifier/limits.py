"""Limits on what prediction may cost, with the costs measured here."""

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
    """Measure what each backbone costs by depth, where there are limits.

    Parameters
    ----------
    backbones : sequence of Backbone
        Whole.
    texts : sequence of str
        Like those to come.
    max_ms : float, optional
        Most milliseconds a text, all backbones together.
    max_mb : float, optional
        Most MiB of weights, all backbones together.
    random_state : int
        Draws the texts that time is measured on.

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
