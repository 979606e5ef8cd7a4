"""The selectors that use only refs and scores."""

import pytest

from layerfuse.core.errors import SelectionError, UnknownOptionError
from layerfuse.core.layers import LayerRef
from layerfuse.core.scores import LayerScores
from layerfuse.select import select_layers


def scores_of(values, poolings=("mean",)):
    """Scores by backbone, one value per layer (and pooling)."""
    refs = [
        LayerRef(backbone, i // len(poolings), poolings[i % len(poolings)])
        for backbone, own in values.items()
        for i in range(len(own))
    ]
    return LayerScores("c", tuple(refs), tuple(v for own in values.values() for v in own))


def chosen(selection):
    return [str(ref) for ref in selection]


def test_best_takes_the_best_layer_of_each_backbone():
    scores = scores_of({"weak": [0.1, 0.3, 0.2], "strong": [0.8, 0.7, 0.9]})
    assert chosen(select_layers(scores, "best")) == ["weak:1:mean", "strong:2:mean"]


def test_best_with_k_orders_layers_of_each_backbone_by_score():
    scores = scores_of({"a": [0.1, 0.3, 0.2], "b": [0.8, 0.7, 0.9]})
    assert chosen(select_layers(scores, "best", k=2)) == [
        "a:1:mean",
        "a:2:mean",
        "b:2:mean",
        "b:0:mean",
    ]


def test_best_takes_the_first_of_layers_with_equal_scores():
    assert chosen(select_layers(scores_of({"a": [0.5, 0.5]}), "best")) == ["a:0:mean"]


@pytest.mark.unchecked  # of the wrong kind
def test_a_k_that_is_not_an_integer_is_refused():
    with pytest.raises(UnknownOptionError, match=r"k=2\.0: expected an integer"):
        select_layers(scores_of({"a": [0.1, 0.2, 0.3]}), "best", k=2.0)


@pytest.mark.parametrize("k", [0, -1, 3, 4])
def test_best_refuses_a_k_above_the_layers_of_a_backbone(k):
    scores = scores_of({"long": [0.1] * 9, "short": [0.1, 0.2]})
    with pytest.raises(
        SelectionError, match=rf"k={k} of (long|short): \d scored layers\. Choose 1 to \d"
    ):
        select_layers(scores, "best", k=k)


@pytest.mark.parametrize(
    ("depth", "first"), [(0, 0), (1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (12, 6), (13, 7)]
)
def test_upper_half_runs_from_the_middle_to_the_last_layer(depth, first):
    selection = select_layers(scores_of({"a": [0.0] * (depth + 1)}), "upper_half")
    assert [ref.layer for ref in selection] == list(range(first, depth + 1))


def test_upper_half_takes_every_pooling():
    selection = select_layers(scores_of({"a": [0.0] * 6}, ("mean", "last")), "upper_half")
    assert chosen(selection) == ["a:1:mean", "a:1:last", "a:2:mean", "a:2:last"]


def test_upper_half_refuses_a_k():
    with pytest.raises(SelectionError, match="'upper_half' has no k"):
        select_layers(scores_of({"a": [0.0] * 6}), "upper_half", k=2)


UPPER = scores_of({"a": [0.9, 0.8, 0.1, 0.2, 0.3, 0.4, 0.5], "b": [0.9, 0.45, 0.35, 0.05]})


@pytest.mark.parametrize(
    ("k", "expected"),
    [
        # A third of a:3 to a:6 and b:2 to b:3, and of b one.
        (None, ["a:6:mean", "a:5:mean", "b:2:mean"]),
        (1, ["a:6:mean"]),
        (3, ["a:6:mean", "a:5:mean", "b:2:mean"]),
        (6, ["a:6:mean", "a:5:mean", "b:2:mean", "a:4:mean", "a:3:mean", "b:3:mean"]),
    ],
)
def test_upper_top_takes_the_best_of_the_upper_halves_of_all(k, expected):
    assert chosen(select_layers(UPPER, "upper_top", k=k)) == expected


def test_upper_top_of_a_single_candidate_is_that_layer():
    assert chosen(select_layers(scores_of({"a": [0.5, 0.1]}), "upper_top")) == ["a:1:mean"]


@pytest.mark.parametrize("k", [0, 7])
def test_upper_top_refuses_a_k_above_the_layers_of_the_upper_halves(k):
    with pytest.raises(SelectionError, match=rf"k={k} of a, b: 6 scored layers"):
        select_layers(UPPER, "upper_top", k=k)


@pytest.mark.parametrize(
    ("k", "expected"),
    [
        (None, ["a:6:mean"]),  # a third of a:3 to a:6
        (2, ["a:6:mean", "a:5:mean"]),
    ],
)
def test_best_backbone_takes_the_backbone_with_the_best_layer(k, expected):
    selection = select_layers(UPPER, "best_backbone", k=k)
    assert chosen(selection) == expected
    which = "the best third" if k is None else f"the {k} best"
    assert selection.reason == f"{which} by {UPPER.criterion} of the upper half of a"


def test_best_backbone_compares_all_layers_but_takes_those_of_the_upper_half():
    """The best layer of all is a shallow one of b."""
    selection = select_layers(
        scores_of({"a": [0.1] * 4, "b": [0.9, 0.0, 0.0, 0.2]}), "best_backbone"
    )
    assert chosen(selection) == ["b:3:mean"]


@pytest.mark.parametrize(("k", "refused"), [(0, "a: 4"), (3, "b: 2"), (5, "a: 4")])
def test_best_backbone_refuses_a_k_above_the_layers_of_the_upper_half(k, refused):
    with pytest.raises(
        SelectionError, match=rf"k={k} of {refused} scored layers in the upper half"
    ):
        select_layers(UPPER, "best_backbone", k=k)


def test_upper_half_of_each_backbone_depends_on_its_own_depth():
    selection = select_layers(scores_of({"a": [0.0] * 3, "b": [0.0] * 7}))
    assert [(ref.backbone, ref.layer) for ref in selection] == [
        *(("a", i) for i in (1, 2)),
        *(("b", i) for i in (3, 4, 5, 6)),
    ]


@pytest.mark.unchecked
def test_an_unknown_selector_is_refused_with_the_nearest_choice():
    with pytest.raises(UnknownOptionError, match="Did you mean 'upper_half'"):
        select_layers(scores_of({"a": [0.0]}), "upperhalf")
