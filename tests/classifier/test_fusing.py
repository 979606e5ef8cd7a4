"""The fusion is chosen by held-out log loss; the simplest stays unless one is clearly better."""

import numpy as np
import pytest

from layerfuse import FusionClassifier
from layerfuse.classifier.fusing import (
    GATES_FROM_TEXTS,
    STACKING_FROM_TEXTS,
    fuse_and_train,
    fuse_best,
    shortlist,
)
from layerfuse.core.layers import LayerRef
from layerfuse.core.selection import Selection
from layerfuse.core.supervision import Supervision
from layerfuse.fuse import FUSIONS, fusion_name

REFS = (LayerRef("a", 1, "mean"), LayerRef("a", 2, "mean"), LayerRef("b", 1, "mean"))


def sources(n_texts=200, noise=40.0, seed=0):
    """Three layers: two of one source that predict the labels, and a wide source of noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=n_texts)
    signal = 0.4 * (2 * labels - 1)[:, None]
    first, second = (signal + rng.normal(size=(n_texts, 4)) for _ in range(2))
    loud = noise * rng.normal(size=(n_texts, 60))
    blocks = [block.astype(np.float32) for block in (first, second, loud)]
    return blocks, labels, [f"text {i}" for i in range(n_texts)]


def fit(fusion, blocks, labels, texts, refs=REFS):
    supervision = Supervision.of(labels)
    return fuse_and_train(
        blocks, refs, texts, supervision, fusion=fusion, head="ridge", lexical=False
    )


@pytest.mark.parametrize(
    ("refs", "n_texts", "expected"),
    [
        (REFS[:1], 10, ("concat",)),
        (REFS[:2], 10, ("concat", "mean")),
        (REFS[1:], STACKING_FROM_TEXTS - 1, ("concat", "static_gate")),
        (REFS[1:], STACKING_FROM_TEXTS, ("concat", "static_gate", "stacking")),
        (REFS, GATES_FROM_TEXTS - 1, ("concat", "mean", "static_gate", "stacking")),
        (REFS, GATES_FROM_TEXTS, ("concat", "mean", "static_gate", "stacking", "gated")),
    ],
)
def test_the_short_list_depends_on_the_numbers_of_texts_and_sources(refs, n_texts, expected):
    assert shortlist(refs, n_texts) == expected


def test_the_last_fusion_that_gains_more_than_one_standard_error_is_used():
    blocks, labels, texts = sources()
    fused = fit("auto", blocks, labels, texts)
    assert [trial.fusion for trial in fused.trials] == list(shortlist(REFS, len(texts)))
    assert fused.trials[0].gain_errors == 0
    used = next(t for t in reversed(fused.trials) if t.gain_errors > 1 or t is fused.trials[0])
    assert used.fusion == fusion_name(fused.fusion)
    assert fused.validation[0].log_loss == used.log_loss


def test_a_fusion_that_downweights_a_source_of_noise_is_chosen():
    blocks, labels, texts = sources()
    fused = fit("auto", blocks, labels, texts)
    assert fusion_name(fused.fusion) != "concat"
    best = min(fused.trials, key=lambda trial: trial.log_loss)
    assert best.log_loss < fused.trials[0].log_loss
    signal, noise = fused.fusion.gates(blocks).mean(0)
    assert noise < signal / 2


def test_held_out_loss_on_shuffled_labels_is_that_of_chance_for_every_fusion():
    """A fusion whose training vectors depend on their own labels would seem to be better."""
    blocks, labels, texts = sources()
    shuffled = np.random.default_rng(1).permutation(labels)
    fused = fit("auto", blocks, shuffled, texts)
    for trial in fused.trials:
        assert trial.log_loss > np.log(2) - 0.05
        assert trial.accuracy < 0.62


def test_the_fusion_that_auto_chose_equals_the_same_fusion_by_name():
    blocks, labels, texts = sources()
    fused = fit("auto", blocks, labels, texts)
    alone = fit(fusion_name(fused.fusion), blocks, labels, texts)
    assert len(alone.trials) == 1
    np.testing.assert_array_equal(
        fused.head.decisions(fused.fusion.fuse(blocks), texts),
        alone.head.decisions(alone.fusion.fuse(blocks), texts),
    )


def test_a_classifier_that_chose_its_fusion_loads_again(make, toy, tiny_decoder, tmp_path):
    texts, labels = toy()
    encoder = make().backbones[0]
    classifier = make(backbones=[encoder, str(tiny_decoder)], fusion="auto").fit(texts, labels)
    assert {trial.fusion for trial in classifier.trials_} <= set(FUSIONS)
    assert len(classifier.trials_) > 1
    classifier.save(tmp_path / "saved")
    loaded = FusionClassifier.load(tmp_path / "saved", device="cpu")
    assert loaded.fusion == "auto"
    assert type(loaded.fusion_) is type(classifier.fusion_)
    np.testing.assert_array_equal(loaded.predict_proba(texts), classifier.predict_proba(texts))


ONE, TWO, ALL = (Selection(REFS[:n], name) for n, name in enumerate(["one", "two", "all"], 1))


def choose(blocks, labels, texts, selections, fusion="concat", *, lexical=False):
    by_ref = dict(zip(REFS, blocks, strict=True))
    return fuse_best(
        selections,
        lambda selection: [by_ref[ref] for ref in selection],
        texts,
        Supervision.of(labels),
        fusion=fusion,
        head="ridge",
        lexical=lexical,
    )


@pytest.mark.parametrize(
    ("selections", "taken"),
    [
        ((ONE, TWO), TWO),
        ((TWO, ALL), TWO),
        ((ONE, TWO, ALL), TWO),
        ((TWO, ONE), TWO),
        ((ALL, TWO), TWO),
    ],
)
def test_a_later_selection_is_taken_only_for_more_than_one_standard_error(selections, taken):
    """The second layer adds information, and the third is noise."""
    blocks, labels, texts = sources(400)
    selection, fused = choose(blocks, labels, texts, selections)
    assert selection.refs == taken.refs
    losses = {}
    for one in selections:
        own = [blocks[REFS.index(ref)] for ref in one]
        losses[one.reason] = fit("concat", own, labels, texts, one.refs).validation[0].log_loss
    rivals = "; ".join(f"{o.reason}: {losses[o.reason]:.3f}" for o in selections if o != taken)
    assert selection.reason == f"two, held-out log loss {losses['two']:.3f} ({rivals})"
    assert fused.validation[0].log_loss == losses[taken.reason] == min(losses.values())
    assert [trial.fusion for trial in fused.trials] == ["concat"]


def test_selections_after_one_that_adds_nothing_are_still_tried():
    """Another backbone may add what more layers of the first do not."""
    blocks, labels, texts = sources(400)
    noise = Selection((REFS[0], REFS[2]), "noise")
    selection, _ = choose(blocks, labels, texts, (ONE, noise, TWO))
    assert selection.refs == TWO.refs
    assert "noise: " in selection.reason


def test_layers_that_know_no_more_than_the_tf_idf_head_are_not_taken():
    """Selections are compared as they will be used: with the TF-IDF head if that joins."""
    blocks, labels, texts = sources(400)
    rng = np.random.default_rng(2)
    told = np.where(rng.random(len(labels)) < 0.8, labels, 1 - labels)
    texts = [f"{text} {('good', 'bad')[t]}" for text, t in zip(texts, told, strict=True)]
    blocks[1] = (2.0 * told[:, None] + rng.normal(0, 0.3, (len(labels), 4))).astype(np.float32)
    taken = [
        choose(blocks, labels, texts, (ONE, TWO), lexical=lexical)[0].refs
        for lexical in (False, "auto")
    ]
    assert taken == [TWO.refs, ONE.refs]


def test_selections_are_compared_by_concat_whatever_the_fusion():
    blocks, labels, texts = sources(400)
    plain, _ = choose(blocks, labels, texts, (ONE, TWO))
    selection, fused = choose(blocks, labels, texts, (ONE, TWO), fusion="mean")
    assert selection == plain
    assert fusion_name(fused.fusion) == "mean"


def test_a_selection_of_a_constant_layer_alone_is_skipped():
    """With random labels, a constant layer may have the best score."""
    blocks, labels, texts = sources(100)
    blocks[0] = np.ones_like(blocks[0])
    selection, _ = choose(blocks, labels, texts, (ONE, TWO))
    assert selection == TWO
    selection, _ = choose(blocks, labels, texts, (TWO, ONE))
    assert selection.refs == TWO.refs


def test_equal_selections_are_not_compared():
    blocks, labels, texts = sources(100)
    for selections in ([ALL], [ALL, Selection(REFS[::-1], "turned")]):
        selection, _ = choose(blocks, labels, texts, selections)
        assert selection == ALL


def test_validation_of_heads_keeps_no_held_out_predictions():
    fused = fit("concat", *sources(100))
    assert fused.validation
    assert all(candidate.held_out.size == 0 for candidate in fused.validation)
