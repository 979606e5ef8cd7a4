"""``budget``: the best that a limit on time or size allows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from layerfuse.core.costs import Budget
from layerfuse.core.errors import SelectionError
from layerfuse.core.layers import LayerRef
from layerfuse.core.scores import LayerScores
from layerfuse.core.selection import Selection
from layerfuse.select.limits import check_k

DISCOUNT = 0.25
"""What the gain of each further backbone counts, relative to the one before it."""


@dataclass(frozen=True, slots=True)
class Depth:
    """A backbone run to some layer: what it brings and what it costs.

    Parameters
    ----------
    deepest : LayerRef
        The best layer up to there, and what ends the backbone.
    gain : float
        Its score above the worst layer of all, in units of the best; 0 .. 1.
    cost : tuple of float
        Milliseconds and bytes.
    """

    deepest: LayerRef
    gain: float
    cost: tuple[float, float]


def budget(scores: LayerScores, limits: Budget, k: int | None = None) -> Selection:
    """Choose how deep to run which backbones, so that the cost stays within the limits.

    A backbone costs what its deepest layer does, whatever is chosen below it, and brings the gain
    of its best layer: the score above the worst of all layers. Of all affordable combinations the
    one with the largest sum of gains is chosen, best first, each next one discounted by 1/4 to the
    one before it, for backbones repeat much of each other. That ratio is about what fusing five
    backbones gains on movie reviews. The search is exact.

    Parameters
    ----------
    scores : LayerScores
        Of one or several backbones, under a criterion that compares between backbones.
    limits : Budget
        Costs and limits.
    k : int, optional
        Layers per backbone in use, fewer where fewer are in reach. Default: those within one
        standard error of its best one in reach.

    Returns
    -------
    Selection
        Backbones that gain most first, the best layer of each first.

    Raises
    ------
    SelectionError
        If nothing is affordable; the message says what the cheapest costs. If k is not within 1 ..
        number of scored layers of a backbone.
    LayerError
        If the budget lacks the cost of a scored layer.
    """
    for backbone in scores.backbones:
        check_k(k, scores.of(backbone))
    depths = _depths(scores, limits)
    chosen = best_depths(sorted(depths, key=lambda d: (-d.gain, d.cost)), limits)
    if not chosen:
        raise SelectionError(_too_little(depths, limits))
    refs: list[LayerRef] = []
    for depth in chosen:
        own = scores.of(depth.deepest.backbone)
        reach = own.among(ref for ref in own.refs if ref.layer <= depth.deepest.layer)
        refs += reach.near_best() if k is None else reach.ranked()[:k]
    milliseconds, size = limits.total(refs)
    cost = f"{milliseconds:.3g} ms a text, {size / 2**20:.3g} MiB of weights"
    return Selection(tuple(refs), f"the best by {scores.criterion} within the budget: {cost}")


def best_depths(
    depths: Sequence[Depth],
    limits: Budget,
    taken: tuple[Depth, ...] = (),
    best: tuple[Depth, ...] = (),
) -> tuple[Depth, ...]:
    """Return the affordable combination of most value, by branch and bound.

    Parameters
    ----------
    depths : sequence of Depth
        To choose from, each backbone at most once; gains must not rise.
    limits : Budget
        What all together may cost.
    taken : tuple of Depth
        Chosen before, of no smaller gains and of other backbones.
    best : tuple of Depth
        Best combination so far.

    Returns
    -------
    tuple of Depth
        Best first; empty if none is affordable; among equals what is found first.
    """
    if taken and (not best or value(taken) > value(best)):
        best = taken
    for i, depth in enumerate(depths):
        others = [d for d in depths[i + 1 :] if d.deepest.backbone != depth.deepest.backbone]
        n_others = len({d.deepest.backbone for d in others})
        if best and value((*taken, *[depth] * (1 + n_others))) <= value(best):
            break  # not even if all others gained as much as this one; later ones gain less
        costs = [d.cost for d in (*taken, depth)]
        if limits.allows((math.fsum(c[0] for c in costs), math.fsum(c[1] for c in costs))):
            best = best_depths(others, limits, (*taken, depth), best)
    return best


def value(taken: Sequence[Depth]) -> float:
    """Return the discounted sum of the gains, given best first."""
    return sum(DISCOUNT**i * depth.gain for i, depth in enumerate(taken))


def _depths(scores: LayerScores, limits: Budget) -> list[Depth]:
    """Return, for each backbone, the layers that are better than all cheaper ones."""
    low, high = min(scores.values), max(scores.values)
    depths = []
    for backbone in scores.backbones:
        own = scores.of(backbone)
        best: LayerRef | None = None
        for ref in sorted(own.refs, key=lambda ref: (ref.layer, -own[ref])):
            if best is None or own[ref] > own[best]:
                best = ref
                gain = (own[ref] - low) / (high - low) if high > low else 0.0
                depths.append(Depth(ref, gain, limits.cost(ref)))
    return depths


def _too_little(depths: Sequence[Depth], limits: Budget) -> str:
    """Say what the cheapest backbone costs, by each limit that there is."""
    cheapest = []
    if limits.max_milliseconds < math.inf:
        fast = min(depths, key=lambda depth: depth.cost[0])
        cheapest.append(
            f"{fast.deepest} takes {fast.cost[0]:.3g} ms a text, "
            f"the limit is {limits.max_milliseconds:.3g}"
        )
    if limits.max_weight_bytes < math.inf:
        small = min(depths, key=lambda depth: depth.cost[1])
        cheapest.append(
            f"{small.deepest} keeps {small.cost[1] / 2**20:.3g} MiB of weights, "
            f"the limit is {limits.max_weight_bytes / 2**20:.3g}"
        )
    return f"Nothing fits the budget. The cheapest possible: {'; '.join(cheapest)}."
