"""DepthCosts and Budget: invalid values are refused; the cost of a selection."""

import math

import pytest

from layerfuse.core.costs import Budget, DepthCosts
from layerfuse.core.errors import LayerError, SelectionError, ShapeError
from layerfuse.core.layers import LayerRef

SMALL = DepthCosts("small", (1.0, 2.0, 3.0), (10, 10, 20))
LARGE = DepthCosts("large", (2.0, 5.0), (100, 300))


def ref(backbone, layer, pooling="mean"):
    return LayerRef(backbone, layer, pooling)


def test_a_backbone_costs_what_its_deepest_layer_does_and_each_counts_once():
    budget = Budget((SMALL, LARGE), max_milliseconds=9.0)
    refs = [ref("small", 2), ref("small", 0), ref("small", 2, "last"), ref("large", 1)]
    assert budget.total(refs) == (3.0 + 5.0, 20 + 300)
    assert budget.total(refs[1:2]) == (1.0, 10)


@pytest.mark.parametrize(
    ("limits", "allowed"),
    [
        ({"max_milliseconds": 5.0}, True),
        ({"max_milliseconds": 4.9}, False),
        ({"max_weight_bytes": 300.0}, True),
        ({"max_milliseconds": 5.0, "max_weight_bytes": 299.0}, False),
    ],
)
def test_every_limit_is_kept(limits, allowed):
    assert Budget((LARGE,), **limits).allows((5.0, 300.0)) is allowed


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_a_cost_is_a_number_from_zero_up(bad):
    with pytest.raises(SelectionError, match="non-negative costs of toy"):
        DepthCosts("toy", (0.0, bad), (1, 2))


@pytest.mark.parametrize("costs", [((2.0, 1.0), (1, 2)), ((1.0, 2.0), (2, 1))])
def test_a_deeper_layer_costs_no_less(costs):
    with pytest.raises(SelectionError, match="do not fall with depth"):
        DepthCosts("toy", *costs)


@pytest.mark.parametrize("costs", [((), ()), ((1.0,), (1, 2))])
def test_a_time_and_a_size_per_layer(costs):
    with pytest.raises(ShapeError, match="a time and a size for each layer of toy"):
        DepthCosts("toy", *costs)


def test_a_budget_limits_something_that_is_a_number_and_knows_each_backbone_once():
    with pytest.raises(SelectionError, match="needs a limit"):
        Budget((SMALL,))
    with pytest.raises(SelectionError, match="limits that are numbers"):
        Budget((SMALL,), max_milliseconds=math.nan)
    with pytest.raises(SelectionError, match="each backbone once, got small, small"):
        Budget((SMALL, SMALL), max_milliseconds=1.0)


@pytest.mark.parametrize("unknown", [ref("small", 3), ref("other", 0)])
def test_a_layer_of_unknown_cost_is_named(unknown):
    with pytest.raises(LayerError, match=rf"no cost of {unknown}\. It has: small to layer 2"):
        Budget((SMALL, LARGE), max_milliseconds=9.0).cost(unknown)


@pytest.mark.unchecked
def test_costs_of_a_budget_are_one_or_several_in_a_tuple():
    costs = DepthCosts("m", (1.0, 2.0), (1, 2))
    assert Budget([costs], 5.0) == Budget((costs,), 5.0)
    for wrong in (costs, 5.0, {"m": costs}):
        with pytest.raises(ShapeError, match=r"tuple of DepthCosts.*in a tuple: \(costs,\)"):
            Budget(wrong, 5.0)
