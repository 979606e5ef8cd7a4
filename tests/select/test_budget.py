"""budget: as good as an exhaustive search, within the limits, with an error if nothing fits."""

import itertools

import numpy as np
import pytest

from layerfuse.core.costs import Budget, DepthCosts
from layerfuse.core.errors import LayerError, SelectionError
from layerfuse.core.layers import LayerRef
from layerfuse.core.scores import LayerScores
from layerfuse.select import select_layers
from layerfuse.select.budget import DISCOUNT


def draw(seed, depths=(3, 4, 5, 4)):
    """Scores and growing costs of some backbones, all at random."""
    rng = np.random.default_rng(seed)
    refs = [LayerRef(f"b{b}", i, "mean") for b, depth in enumerate(depths) for i in range(depth)]
    scores = LayerScores("c", tuple(refs), tuple(rng.normal(size=len(refs)).tolist()))
    costs = [
        DepthCosts(
            f"b{b}",
            tuple(np.cumsum(rng.random(depth)).tolist()),
            tuple(np.cumsum(rng.integers(1, 100, depth)).tolist()),
        )
        for b, depth in enumerate(depths)
    ]
    return scores, tuple(costs)


def value_of(scores, refs):
    low, high = min(scores.values), max(scores.values)
    best = {}
    for ref in refs:
        best[ref.backbone] = max(best.get(ref.backbone, 0), (scores[ref] - low) / (high - low))
    return sum(DISCOUNT**i * gain for i, gain in enumerate(sorted(best.values(), reverse=True)))


def brute_force(scores, budget):
    """Value of the best affordable set with one layer, or none, of each backbone."""
    options = [(None, *scores.of(name).refs) for name in scores.backbones]
    sets = [[ref for ref in choice if ref] for choice in itertools.product(*options)]
    return max(
        (value_of(scores, refs) for refs in sets if refs and budget.allows(budget.total(refs))),
        default=None,
    )


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    "limits",
    [
        {"max_milliseconds": 1.5},
        {"max_weight_bytes": 150.0},
        {"max_milliseconds": 3.0, "max_weight_bytes": 200.0},
        {"max_milliseconds": 100.0},
    ],
)
def test_budget_selection_is_as_good_as_exhaustive_search(seed, limits):
    scores, costs = draw(seed)
    budget = Budget(costs, **limits)
    selection = select_layers(scores, "budget", k=1, budget=budget)
    assert budget.allows(budget.total(selection))
    assert value_of(scores, selection) == pytest.approx(brute_force(scores, budget))


def test_a_budget_without_effect_gives_the_best_layer_of_each_backbone():
    scores, costs = draw(0)
    selection = select_layers(scores, "budget", k=1, budget=Budget(costs, max_milliseconds=1e9))
    best = [scores.of(name).best for name in scores.backbones]
    assert list(selection) == sorted(best, key=lambda ref: -scores[ref])


def test_one_good_backbone_is_worth_more_than_two_mediocre_ones():
    refs = tuple(LayerRef(name, i, "mean") for name in ("good", "fair", "poor") for i in range(2))
    scores = LayerScores("c", refs, (0.0, 1.0, 0.0, 0.7, 0.0, 0.65))
    costs = tuple(
        DepthCosts(name, (1.0, ms), (1, 1))
        for name, ms in [("good", 8.0), ("fair", 4.0), ("poor", 4.0)]
    )
    selection = select_layers(scores, "budget", budget=Budget(costs, max_milliseconds=8.0))
    assert [str(ref) for ref in selection] == ["good:1:mean"]


def test_layers_below_the_deepest_add_no_cost():
    refs = tuple(LayerRef("toy", i, pooling) for i in range(4) for pooling in ("mean", "last"))
    scores = LayerScores("c", refs, (0.0, 0.1, 0.5, 0.3, 0.7, 0.6, 0.9, 0.8))
    budget = Budget((DepthCosts("toy", (1.0, 2.0, 3.0, 4.0), (1, 1, 1, 1)),), max_milliseconds=3.5)
    chosen = {k: select_layers(scores, "budget", k=k, budget=budget) for k in (1, 3, 8)}
    assert [str(ref) for ref in chosen[1]] == ["toy:2:mean"]
    assert [str(ref) for ref in chosen[3]] == ["toy:2:mean", "toy:2:last", "toy:1:mean"]
    assert len(chosen[8]) == 6  # all affordable
    assert "3 ms a text" in chosen[1].reason


def test_without_k_affordable_layers_within_one_standard_error_are_taken():
    refs = tuple(LayerRef("toy", i, "mean") for i in range(4))
    scores = LayerScores("c", refs, (0.1, 0.75, 0.8, 0.9), (0.06,) * 4)
    budget = Budget((DepthCosts("toy", (1.0, 2.0, 3.0, 4.0), (1, 1, 1, 1)),), max_milliseconds=3.0)
    assert [ref.layer for ref in select_layers(scores, "budget", budget=budget)] == [2, 1]


def test_the_cheapest_of_layers_with_equal_scores_is_taken():
    scores, costs = draw(0)
    flat = LayerScores("c", scores.refs, (0.5,) * len(scores.refs))
    selection = select_layers(flat, "budget", budget=Budget(costs, max_milliseconds=9.0))
    cheapest = min(costs, key=lambda own: own.milliseconds[0])
    assert list(selection) == [LayerRef(cheapest.backbone, 0, "mean")]


def test_budget_search_is_feasible_for_eight_deep_backbones():
    """60 layers of each of 8 backbones: 10^14 combinations."""
    scores, costs = draw(0, depths=(60,) * 8)
    budget = Budget(costs, max_milliseconds=60.0)
    selection = select_layers(scores, "budget", k=1, budget=budget)
    assert budget.allows(budget.total(selection))


def test_a_budget_that_nothing_fits_is_refused_with_the_cheapest_cost():
    refs = tuple(LayerRef(name, i, "mean") for name in ("a", "b") for i in range(2))
    costs = (
        DepthCosts("a", (1.5, 2.0), (2**20, 2**21)),
        DepthCosts("b", (1.0, 3.0), (2**22, 2**23)),
    )
    scores = LayerScores("c", refs, (0.1, 0.2, 0.3, 0.4))
    said = r"cheapest possible: b:0:mean takes 1 ms a text, the limit is 0\.5\."
    with pytest.raises(SelectionError, match=said):
        select_layers(scores, "budget", budget=Budget(costs, max_milliseconds=0.5))
    said = r"a:0:mean keeps 1 MiB of weights, the limit is 0\.5\."
    with pytest.raises(SelectionError, match=said):
        select_layers(scores, "budget", budget=Budget(costs, max_weight_bytes=2.0**19))


def test_a_missing_budget_or_missing_costs_are_refused():
    scores, costs = draw(0)
    with pytest.raises(SelectionError, match=r"needs budget=Budget\(costs"):
        select_layers(scores, "budget")
    with pytest.raises(LayerError, match="no cost of b0:0:mean"):
        select_layers(scores, "budget", budget=Budget(costs[1:], max_milliseconds=9.0))


@pytest.mark.parametrize("k", [0, 4])
def test_a_k_out_of_range_is_refused_with_the_range(k):
    scores, costs = draw(0)
    with pytest.raises(SelectionError, match=r"b0: 3 scored layers\. Choose 1 to 3"):
        select_layers(scores, "budget", k=k, budget=Budget(costs, max_milliseconds=9.0))
