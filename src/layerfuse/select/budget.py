"""``budget``: the best layers within a limit on time or size."""

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
"""Weight of the gain of each further backbone, relative to the one before it."""


@dataclass(frozen=True, slots=True)
class Depth:
    """Gain and cost of a backbone that is cut at some layer.

    Parameters
    ----------
    deepest : LayerRef
        The layer at which the backbone is cut; the best of the layers up to it.
    gain : float
        Score of this layer, scaled so that the worst layer of all has 0 and the best 1.
    cost : tuple of float
        Milliseconds a text and bytes of weights.
    """

    deepest: LayerRef
    gain: float
    cost: tuple[float, float]


def budget(scores: LayerScores, limits: Budget, k: int | None = None) -> Selection:
    """Choose backbones and how deep to run each, within the limits on cost.

    The deepest layer of a backbone sets its cost; layers below it are free. The gain of a backbone
    is the score of its best layer above the worst of all layers. The affordable combination with
    the largest sum of gains is chosen. In this sum each further backbone counts a quarter of the
    one before, best first, because backbones overlap in what they know. This ratio is about what
    fusing five backbones gains on movie reviews. The search is exact.

    Parameters
    ----------
    scores : LayerScores
        Scores of one or several backbones, by a criterion that is comparable between backbones.
    limits : Budget
        Costs and limits.
    k : int, optional
        Layers per chosen backbone, or fewer if it has fewer up to its cut. Default: all layers up
        to the cut that are within one standard error of the best of them. The cut is at the best
        layer, so deeper ones are not among them, even if they are affordable.

    Returns
    -------
    Selection
        Backbones by gain, largest first; layers of a backbone by score, best first.

    Raises
    ------
    SelectionError
        If no layer is affordable; the message gives the lowest costs. If k is not within 1 ..
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
        whole = scores.of(depth.deepest.backbone)
        cut = whole.among(ref for ref in whole.refs if ref.layer <= depth.deepest.layer)
        refs += cut.near_best() if k is None else cut.ranked()[:k]
    milliseconds, size = limits.total(refs)
    cost = f"{milliseconds:.3g} ms a text, {size / 2**20:.3g} MiB of weights"
    return Selection(tuple(refs), f"the best by {scores.criterion} within the budget: {cost}")


def best_depths(
    depths: Sequence[Depth],
    limits: Budget,
    taken: tuple[Depth, ...] = (),
    best: tuple[Depth, ...] = (),
) -> tuple[Depth, ...]:
    """Return the affordable combination with the highest value, by branch and bound.

    Parameters
    ----------
    depths : sequence of Depth
        Candidates in order of falling gain; at most one per backbone is chosen.
    limits : Budget
        Limits on the total cost.
    taken : tuple of Depth
        Depths chosen so far, of other backbones and with gains no smaller than those of ``depths``.
    best : tuple of Depth
        Best combination so far.

    Returns
    -------
    tuple of Depth
        Largest gain first; empty if nothing is affordable; the first found of equally good ones.
    """
    if taken and (not best or value(taken) > value(best)):
        best = taken
    for i, depth in enumerate(depths):
        others = [d for d in depths[i + 1 :] if d.deepest.backbone != depth.deepest.backbone]
        n_others = len({d.deepest.backbone for d in others})
        if best and value((*taken, *[depth] * (1 + n_others))) <= value(best):
            break  # upper bound: all other backbones gain as much as this one
        costs = [d.cost for d in (*taken, depth)]
        if limits.allows((math.fsum(c[0] for c in costs), math.fsum(c[1] for c in costs))):
            best = best_depths(others, limits, (*taken, depth), best)
    return best


def value(taken: Sequence[Depth]) -> float:
    """Return the discounted sum of the gains; ``taken`` has the largest gain first."""
    return sum(DISCOUNT**i * depth.gain for i, depth in enumerate(taken))


def _depths(scores: LayerScores, limits: Budget) -> list[Depth]:
    """Return, for each backbone, the layers with higher scores than all layers below them."""
    low, high = min(scores.values), max(scores.values)
    depths = []
    for backbone in scores.backbones:
        refs = sorted(scores.of(backbone).refs, key=lambda ref: (ref.layer, -scores[ref]))
        best: LayerRef | None = None
        for ref in refs:
            if best is None or scores[ref] > scores[best]:
                best = ref
                gain = (scores[ref] - low) / (high - low) if high > low else 0.0
                depths.append(Depth(ref, gain, limits.cost(ref)))
    return depths


def _too_little(depths: Sequence[Depth], limits: Budget) -> str:
    """Return the message that gives the lowest cost under each limit."""
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
