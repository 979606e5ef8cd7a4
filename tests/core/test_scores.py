"""LayerScores: what it refuses, its order, its parts."""

import math

import numpy as np
import pytest

from layerfuse.core.errors import FeatureError, LayerError, ShapeError
from layerfuse.core.layers import LayerRef
from layerfuse.core.scores import LayerScores
from layerfuse.core.selection import Stability


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


def test_from_per_text_is_mean_and_standard_error_of_each_column():
    per_text = np.random.default_rng(0).normal(size=(50, 3))
    scores = LayerScores.from_per_text("c", refs(3), per_text)
    assert scores.values == pytest.approx([np.mean(column) for column in per_text.T])
    assert scores.standard_errors == pytest.approx([np.std(c) / 50**0.5 for c in per_text.T])


def test_of_keeps_the_columns_of_one_backbone():
    mixed = (LayerRef("a", 0, "mean"), LayerRef("b", 0, "mean"), LayerRef("a", 1, "mean"))
    per_text = np.arange(12.0).reshape(4, 3)
    np.testing.assert_array_equal(
        LayerScores.from_per_text("c", mixed, per_text).of("a").per_text, per_text[:, [0, 2]]
    )


def test_refuses_another_number_of_columns():
    with pytest.raises(ShapeError, match="a column for each of 2 layers"):
        LayerScores("c", refs(2), (0.0, 1.0), per_text=np.zeros((5, 3)))


def test_near_best_without_errors_is_the_best():
    assert LayerScores("c", refs(3), (0.1, 0.2, 0.19999)).near_best() == (refs(3)[1],)


def test_near_best_is_within_one_standard_error_of_the_best():
    scores = LayerScores("c", refs(4), (0.5, 0.8, 0.71, 0.69), (9.0, 0.1, 9.0, 9.0))
    assert [ref.layer for ref in scores.near_best()] == [1, 2]


def test_near_best_compares_pairwise_where_there_is_a_number_per_text():
    """Scores that vary much, but always differ by the same amount, differ significantly."""
    texts = np.random.default_rng(0).normal(size=400)
    noise = np.random.default_rng(1).normal(size=400)
    per_text = np.column_stack([texts, texts - 0.01, texts + noise - noise.mean() - 0.01])
    scores = LayerScores.from_per_text("c", refs(3), per_text)
    assert [ref.layer for ref in scores.near_best()] == [0, 2]
    assert len(LayerScores("c", refs(3), scores.values, scores.standard_errors).near_best()) == 3


@pytest.mark.unchecked
def test_scores_made_of_lists_and_arrays_are_those_of_tuples():
    refs = [LayerRef("a", layer, "mean") for layer in range(2)]
    want = LayerScores("c", tuple(refs), (1.0, 2.0), (0.1, 0.2))
    got = LayerScores("c", refs, np.array([1.0, 2.0]), [0.1, 0.2])
    assert got == want
    assert hash(got) == hash(want)


def test_iterating_gives_the_layers():
    refs = tuple(LayerRef("a", layer, "mean") for layer in range(2))
    scores = LayerScores("c", refs, (1.0, 2.0))
    assert {ref: scores[ref] for ref in scores} == dict(zip(refs, (1.0, 2.0), strict=True))
    assert len(scores) == 2
    assert refs[1] in scores
    assert LayerRef("b", 0, "mean") not in scores
    stability = Stability(refs, (1.0, 0.5), (), 2)
    assert (list(stability), len(stability)) == (list(refs), 2)


@pytest.mark.unchecked
@pytest.mark.parametrize("wrong", [None, 0.5, ("a",), np.zeros((1, 2)), {"m": None}])
@pytest.mark.parametrize("field", ["values", "standard_errors"])
def test_what_are_no_numbers_is_refused_with_what_to_pass(wrong, field):
    given = {"values": (1.0,), field: wrong}
    with pytest.raises(ShapeError, match=rf"{field}=.*: expected a tuple of one number per layer"):
        LayerScores("c", (LayerRef("m", 0, "mean"),), **given)
