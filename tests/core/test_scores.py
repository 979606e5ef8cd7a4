"""LayerScores: what it refuses, its order, its parts."""

import math

import pytest

from layerfuse.core.errors import FeatureError, LayerError, ShapeError
from layerfuse.core.layers import LayerRef
from layerfuse.core.scores import LayerScores


def refs(n, backbone="toy"):
    return tuple(LayerRef(backbone, i, "mean") for i in range(n))


@pytest.mark.parametrize(("n_refs", "n_values"), [(0, 0), (2, 1), (1, 2)])
def test_refuses_other_than_one_score_per_layer(n_refs, n_values):
    with pytest.raises(ShapeError, match=f"one score per layer, got {n_refs} and {n_values}"):
        LayerScores("c", refs(n_refs), (0.0,) * n_values)


def test_refuses_other_than_one_standard_error_per_score():
    with pytest.raises(ShapeError, match="one standard error per score"):
        LayerScores("c", refs(2), (0.0, 1.0), (0.1,))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_refuses_scores_that_are_not_finite_and_names_their_layers(bad):
    with pytest.raises(FeatureError, match=r"criterion='c' .* toy:1:mean, toy:2:mean\.$"):
        LayerScores("c", refs(4), (0.0, bad, bad, 1.0))


def test_refuses_a_layer_scored_twice():
    with pytest.raises(ShapeError, match=r"each layer once.*toy:0:mean"):
        LayerScores("c", (*refs(2), *refs(1)), (0.0, 1.0, 2.0))


def test_ranked_is_best_first_and_ties_keep_the_order_of_rows():
    layers = refs(5)
    scores = LayerScores("c", layers, (1.0, 3.0, 2.0, 3.0, 1.0))
    assert [ref.layer for ref in scores.ranked()] == [1, 3, 2, 0, 4]
    assert scores.best == layers[1]


def test_negative_scores_rank_by_value_not_by_size():
    assert LayerScores("c", refs(3), (-0.5, -0.1, -0.9)).best.layer == 1


def test_of_keeps_one_backbone_with_its_errors():
    mixed = (LayerRef("a", 0, "mean"), LayerRef("b", 0, "mean"), LayerRef("a", 1, "mean"))
    scores = LayerScores("c", mixed, (1.0, 2.0, 3.0), (0.1, 0.2, 0.3))
    assert scores.backbones == ("a", "b")
    own = scores.of("a")
    assert own == LayerScores("c", (mixed[0], mixed[2]), (1.0, 3.0), (0.1, 0.3))
    assert scores[mixed[1]] == 2.0


def test_of_without_errors_stays_without():
    assert LayerScores("c", refs(2), (1.0, 2.0)).of("toy").standard_errors == ()


def test_asking_for_a_layer_that_was_not_scored_says_so():
    scores = LayerScores("c", refs(2), (1.0, 2.0))
    with pytest.raises(LayerError, match=r"toy:9:mean was not scored"):
        scores[LayerRef("toy", 9, "mean")]


def test_asking_for_a_backbone_that_was_not_scored_says_so():
    scores = LayerScores("c", refs(2), (1.0, 2.0))
    with pytest.raises(LayerError, match=r"No layer of other was scored.*toy"):
        scores.of("other")
