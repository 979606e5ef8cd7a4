"""Options of a classifier: the selectors that "auto" tries, and impossible values of k."""

import numpy as np
import pytest

from layerfuse import FusionClassifier
from layerfuse.classifier.options import (
    FEWER_LAYERS_FROM_TEXTS,
    ONE_BACKBONE_FROM_TEXTS,
    selectors_of,
)
from layerfuse.core.errors import SelectionError
from layerfuse.core.scores import LayerScores
from layerfuse.train.head import HeadCandidate

MANY, SOME = FEWER_LAYERS_FROM_TEXTS, ONE_BACKBONE_FROM_TEXTS


@pytest.mark.parametrize(
    ("selector", "k", "fusion", "n_texts", "expected"),
    [
        ("auto", None, "auto", MANY, [("top", 1), ("best_backbone", None), ("upper_top", None)]),
        ("auto", None, "concat", MANY, [("top", 1), ("best_backbone", None), ("upper_top", None)]),
        ("auto", None, "gated", MANY, [("upper_top", None)]),
        ("auto", None, "auto", MANY - 1, [("upper_top", None), ("best_backbone", None)]),
        ("auto", None, "concat", SOME, [("upper_top", None), ("best_backbone", None)]),
        ("auto", None, "gated", SOME, [("upper_top", None)]),
        ("auto", None, "concat", SOME - 1, [("upper_top", None)]),
        ("auto", 3, "concat", MANY, [("upper_top", 3)]),
        ("greedy", 4, "concat", MANY, [("greedy", 4)]),
    ],
)
def test_selector_auto_depends_on_k_fusion_and_number_of_texts(
    selector, k, fusion, n_texts, expected
):
    assert list(selectors_of(selector, k, fusion, n_texts)) == expected


def test_a_fusion_of_sources_gets_a_layer_of_every_pooling(make, toy, monkeypatch):
    """If ``upper_top`` takes layers of one pooling only, the best of the other is added."""
    texts, labels = toy(48)

    def scored(ref):
        return ref.layer + 10 * (ref.pooling == "mean")

    monkeypatch.setattr(
        "layerfuse.classifier.choice.score_layers",
        lambda stored, *_, **__: LayerScores(
            "made up", stored[0].refs, tuple(map(scored, stored[0].refs))
        ),
    )
    plain = make().fit(texts, labels)
    assert {ref.pooling for ref in plain.selection_} == {"mean"}
    paired = make(fusion="residual_sum").fit(texts, labels)
    *own, added = paired.selection_.refs
    assert tuple(own) == plain.selection_.refs
    assert (added.layer, added.pooling) == (3, "first")
    assert paired.selection_.reason.endswith(", and the best of each other source")
    with pytest.raises(SelectionError, match="all layers are of encoder:mean"):
        make(fusion="residual_sum", selector="upper_top").fit(texts, labels)


@pytest.mark.parametrize("selector", ["auto", "top", "best"])
def test_one_layer_for_a_fusion_of_sources_is_refused_before_anything_is_embedded(
    make, toy, monkeypatch, selector
):
    monkeypatch.setattr("layerfuse.classifier.estimator.embed_to_store", None)
    with pytest.raises(SelectionError, match="residual_sum combines sources, but k=1"):
        make(fusion="residual_sum", selector=selector, k=1).fit(*toy(20, seed=0))


@pytest.mark.parametrize(
    ("selector", "k", "message"),
    [
        ("upper_half", 2, "has no k"),
        (
            "auto",
            5,
            "k=5, but there are 4 layers in the upper halves",
        ),  # 2 and 3 under two poolings
        ("upper_top", 0, "Choose 1 to 4"),
        ("best_backbone", 5, "k=5, but there are 4 layers in the smallest upper half"),
        ("top", 9, "k=9, but there are 8 layers in all backbones"),
        ("best", 9, "k=9, but there are 8 layers in encoder"),
    ],
)
def test_an_impossible_k_is_refused_before_anything_is_embedded(
    make, toy, monkeypatch, selector, k, message
):
    monkeypatch.setattr("layerfuse.classifier.estimator.embed_to_store", None)
    with pytest.raises(SelectionError, match=message):
        make(selector=selector, k=k).fit(*toy(20, seed=0))


def test_with_many_texts_one_layer_is_taken_if_more_add_nothing(
    make, toy, tiny_decoder, monkeypatch
):
    monkeypatch.setattr("layerfuse.classifier.options.FEWER_LAYERS_FROM_TEXTS", 48)
    texts, labels = toy(48)
    encoder = make().backbones[0]
    classifier = make(backbones=[encoder, str(tiny_decoder)]).fit(texts, labels)
    assert classifier.selection_.refs == (classifier.scores_.best,)
    reason = classifier.selection_.reason
    assert reason.startswith("the best by loo_ridge over all backbones, held-out log loss ")
    assert f"of the upper half of {classifier.scores_.best.backbone}: " in reason
    fewer = make(backbones=[encoder, str(tiny_decoder)]).fit(texts[1:], labels[1:])
    assert fewer.selection_.backbones == ("encoder", "decoder")
    assert "held-out" not in fewer.selection_.reason


def test_with_some_texts_all_backbones_are_taken_unless_one_alone_is_better(
    make, toy, tiny_decoder, monkeypatch
):
    """Twice the same words: what one backbone knows, the other adds to."""
    monkeypatch.setattr("layerfuse.classifier.options.ONE_BACKBONE_FROM_TEXTS", 48)
    texts, labels = toy(48)
    backbones = [make().backbones[0], str(tiny_decoder)]
    classifier = make(backbones=backbones).fit(texts, labels)
    assert classifier.selection_.backbones == ("encoder", "decoder")
    alone = classifier.scores_.best.backbone
    reason = classifier.selection_.reason
    assert reason.startswith("the best third by loo_ridge of the upper halves of all backbones, ")
    assert f"(the best third by loo_ridge of the upper half of {alone}: " in reason
    fewer = make(backbones=backbones).fit(texts[1:], labels[1:])
    assert "held-out" not in fewer.selection_.reason


def test_with_many_texts_a_fusion_of_sources_still_gets_several_sources(
    make, toy, tiny_decoder, monkeypatch
):
    """Otherwise such a fusion could fail, or fuse one layer with itself."""
    monkeypatch.setattr("layerfuse.classifier.options.FEWER_LAYERS_FROM_TEXTS", 48)
    backbones = [make().backbones[0], str(tiny_decoder)]
    classifier = make(backbones=backbones, fusion="residual_sum").fit(*toy(48))
    assert classifier.selection_.backbones == ("encoder", "decoder")


def test_with_some_texts_one_backbone_is_taken_if_it_alone_is_clearly_better(
    make, toy, tiny_decoder, monkeypatch, tmp_path
):
    monkeypatch.setattr("layerfuse.classifier.options.ONE_BACKBONE_FROM_TEXTS", 48)
    monkeypatch.setattr(HeadCandidate, "gain_errors", lambda *_: 1.01)
    texts, labels = toy(48)
    classifier = make(backbones=[make().backbones[0], str(tiny_decoder)]).fit(texts, labels)
    alone = classifier.scores_.best.backbone
    assert classifier.selection_.backbones == tuple(classifier.backbones_) == (alone,)
    classifier.save(tmp_path / "saved")
    again = FusionClassifier.load(tmp_path / "saved", device="cpu")
    assert tuple(again.backbones_) == (alone,)
    np.testing.assert_array_equal(again.predict_proba(texts), classifier.predict_proba(texts))


def test_near_duplicates_do_not_count_as_more_texts(make, toy, tiny_decoder, monkeypatch):
    monkeypatch.setattr("layerfuse.classifier.options.ONE_BACKBONE_FROM_TEXTS", 49)
    texts, labels = toy(48)
    backbones = [make().backbones[0], str(tiny_decoder)]
    classifier = make(backbones=backbones).fit([*texts, *texts], [*labels, *labels])
    assert "held-out" not in classifier.selection_.reason
