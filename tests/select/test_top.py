"""top: the best over all backbones, k layers or all within one standard error."""

import numpy as np
import pytest

from layerfuse.core.errors import SelectionError
from layerfuse.core.layers import LayerRef
from layerfuse.core.scores import LayerScores
from layerfuse.select import select_layers

REFS = tuple(LayerRef(backbone, i, "mean") for backbone in "ab" for i in range(3))
SCORES = LayerScores("c", REFS, (0.1, 0.7, 0.3, 0.9, 0.8, 0.2))


def names(selection):
    return [f"{ref.backbone}{ref.layer}" for ref in selection]


@pytest.mark.parametrize(("k", "expected"), [(1, ["b0"]), (3, ["b0", "b1", "a1"])])
def test_top_takes_the_k_best_layers_of_any_backbone(k, expected):
    assert names(select_layers(SCORES, "top", k=k)) == expected


def test_without_k_and_standard_errors_the_best_layer_alone_is_taken():
    assert names(select_layers(SCORES, "top")) == ["b0"]
    assert names(select_layers(SCORES, "best")) == ["a1", "b0"]


def test_without_k_layers_within_one_standard_error_of_the_best_are_taken():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(500, 1))
    noise = rng.normal(size=(500, 6))
    per_text = shared + 0.3 * (noise - noise.mean(0)) + np.array([0.0, 1.0, 0.995, 0.5, 0.997, 0.2])
    scores = LayerScores.from_per_text("c", REFS, per_text)
    assert names(select_layers(scores, "top")) == ["a1", "b1", "a2"]
    assert names(select_layers(scores, "best")) == ["a1", "a2", "b1"]


@pytest.mark.parametrize("selector", ["top", "best"])
@pytest.mark.parametrize("k", [-1, 0, 7])
def test_a_k_out_of_range_is_refused_with_the_range(selector, k):
    n_layers = 6 if selector == "top" else 3
    with pytest.raises(SelectionError, match=rf"{n_layers} scored layers\. Choose 1 to {n_layers}"):
        select_layers(SCORES, selector, k=k)


def test_the_reason_states_the_rule_of_the_selection():
    assert select_layers(SCORES, "top").reason == "the best by c over all backbones"
    assert select_layers(SCORES, "best", k=2).reason == "the 2 best by c of each backbone"
    sure = LayerScores("c", REFS, SCORES.values, (0.1,) * 6)
    assert "within one standard error of the best by c" in select_layers(sure, "best").reason


def test_reasons_of_best_backbone_and_upper_top_name_the_upper_half():
    assert names(select_layers(SCORES, "best_backbone", k=1)) == ["b1"]
    reason = select_layers(SCORES, "best_backbone", k=1).reason
    assert reason == "the best by c of the upper half of b"
    assert select_layers(SCORES, "upper_top", k=1).reason.startswith("the best by c of the upper")
