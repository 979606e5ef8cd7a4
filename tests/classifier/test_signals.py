"""Signals for criteria are gathered on a sample of texts, and ``fit`` scores with them."""

import pickle

import numpy as np
import pytest
import torch

from layerfuse import Backbone, EmbeddingStore
from layerfuse.backbone import attention_entropy
from layerfuse.classifier import gather_signals, signals
from layerfuse.core.errors import LabelError, ShapeError, UnknownOptionError
from layerfuse.core.supervision import Supervision
from layerfuse.extract import embed_to_store
from layerfuse.score import criterion_info, importance, score_layers
from layerfuse.train import fit_head


@pytest.fixture(scope="module")
def stored(tiny_encoder, tiny_decoder, toy_texts, tmp_path_factory):
    store = EmbeddingStore(tmp_path_factory.mktemp("store"))
    models = [Backbone.from_pretrained(f, device="cpu") for f in (tiny_encoder, tiny_decoder)]
    return [embed_to_store(model, toy_texts, store, progress=False) for model in models]


def test_criteria_without_signals_run_no_backbone(stored, toy_labels, monkeypatch):
    monkeypatch.setattr(signals, "model_signals", None)  # a call would fail
    assert gather_signals(stored, toy_labels, ["loo_ridge", "depth", np.mean]) == ()


def test_each_needed_signal_is_gathered_once_for_each_backbone(stored, toy_labels):
    found = gather_signals(stored, toy_labels, ["importance", "attention_entropy"])
    assert [(s.name, s.backbone) for s in found] == [
        ("attention_entropy", one.backbone) for one in stored
    ]
    found = gather_signals(stored, toy_labels, ["backbone_gradient", importance(weight=0.3)])
    assert len(found) == 4
    assert len({(s.name, s.backbone) for s in found}) == 4


def test_signals_of_few_texts_are_gathered_on_all_of_them(stored, toy_labels, toy_texts):
    entropy, _ = gather_signals(stored, toy_labels, ["attention_entropy"])
    alone = attention_entropy(stored[0].model, toy_texts, progress=False)
    np.testing.assert_allclose(entropy.values, alone.values, atol=1e-5)


def test_both_signals_from_one_pass_equal_each_gathered_alone(stored, toy_labels):
    together = gather_signals(stored, toy_labels, ["attention_entropy", "backbone_gradient"])
    apart = [
        one
        for name in ("attention_entropy", "backbone_gradient")
        for one in gather_signals(stored, toy_labels, [name])
    ]
    for one in apart:
        (same,) = [s for s in together if (s.name, s.backbone) == (one.name, one.backbone)]
        np.testing.assert_allclose(same.values, one.values, rtol=1e-4, atol=1e-6)


def test_the_sample_for_signals_is_stratified_and_depends_on_random_state(
    stored, toy_labels, toy_texts, monkeypatch
):
    seen = []
    real = signals.model_signals

    def spy(backbone, texts, names, **options):
        seen.append(texts)
        return real(backbone, texts, names, **options)

    monkeypatch.setattr(signals, "model_signals", spy)
    monkeypatch.setattr(signals, "MAX_TEXTS", 12)
    for state in (0, 0, 1):
        found = gather_signals(stored[:1], toy_labels, ["attention_entropy"], random_state=state)
        assert found[0].values.shape == (12, 3)
    assert seen[0] == seen[1] != seen[2]
    label_of = dict(zip(toy_texts, toy_labels, strict=True))
    assert sorted(label_of[text] for text in seen[0]) == ["calm"] * 6 + ["loud"] * 6


def test_the_probe_on_raw_states_equals_the_head_on_standardised_features(
    stored, toy_labels, monkeypatch
):
    losses = []

    def spy(backbone, texts, names, *, loss, progress):
        losses.append(loss)
        return ()

    monkeypatch.setattr(signals, "model_signals", spy)
    gather_signals(stored, toy_labels, ["backbone_gradient"])
    classes = np.array([("calm", "loud").index(label) for label in toy_labels])
    for embeddings, loss in zip(stored, losses, strict=True):
        deepest = next(r for r in embeddings.refs if r.layer == 3 and r.pooling == "mean")
        features = embeddings.row(deepest)
        standard = (features - features.mean(0)) / features.std(0)
        head, _ = fit_head(standard.astype(np.float32), Supervision.of(classes), head="ridge")
        own = head.probabilities(standard)[np.arange(len(classes)), classes]
        summed = loss.of(np.arange(len(classes)), torch.from_numpy(features))
        np.testing.assert_allclose(float(summed), -np.log(own).sum(), rtol=1e-3)


def test_attention_entropy_needs_no_labels_and_backbone_gradient_does(stored, toy_labels):
    assert gather_signals(stored[:1], None, ["attention_entropy"])[0].values.shape == (48, 3)
    with pytest.raises(LabelError):
        gather_signals(stored, None, ["backbone_gradient"])
    with pytest.raises(ShapeError, match="Expected a label per text, got 47 for 48"):
        gather_signals(stored, toy_labels[1:], ["attention_entropy"])


@pytest.mark.unchecked
def test_an_unknown_criterion_is_refused(stored, toy_labels):
    with pytest.raises(UnknownOptionError, match="importance"):
        gather_signals(stored, toy_labels, ["importence"])


@pytest.mark.parametrize("criterion", ["importance", "attention_entropy", "backbone_gradient"])
def test_fit_scores_layers_with_the_signals_that_it_gathers(
    make, stored, toy_texts, toy_labels, criterion
):
    fitted = make(criterion=criterion, selector="best").fit(toy_texts, toy_labels)
    found = gather_signals(stored[:1], toy_labels, [criterion])
    expected = score_layers(stored[0], toy_labels, criterion, signals=found)
    assert fitted.scores_.criterion == criterion
    assert fitted.scores_.refs == expected.refs
    np.testing.assert_allclose(fitted.scores_.values, expected.values, rtol=1e-4, atol=1e-6)
    assert set(fitted.predict(toy_texts)) <= {"calm", "loud"}


@pytest.mark.parametrize(
    "criterion", [importance(weight=0.8), criterion_info("loo_ridge"), criterion_info("rankme")]
)
def test_a_pickled_classifier_keeps_its_criterion(make, toy_texts, toy_labels, criterion):
    unfitted = make(criterion=criterion, selector="best", lexical=True)
    fitted = pickle.loads(pickle.dumps(unfitted)).fit(toy_texts, toy_labels)
    again = pickle.loads(pickle.dumps(fitted))
    assert again.criterion == fitted.criterion == criterion
    np.testing.assert_array_equal(again.predict_proba(toy_texts), fitted.predict_proba(toy_texts))
    assert again.fit(toy_texts, toy_labels).scores_ == fitted.scores_


def test_fit_takes_a_criterion_with_parameters_and_saves_its_name(
    make, toy_texts, toy_labels, tmp_path
):
    fitted = make(criterion=importance(weight=0.8), selector="best").fit(toy_texts, toy_labels)
    fitted.save(tmp_path / "saved")
    loaded = type(fitted).load(tmp_path / "saved", device="cpu")
    assert loaded.get_params()["criterion"] == importance(weight=0.8).name
    np.testing.assert_array_equal(loaded.predict(toy_texts), fitted.predict(toy_texts))
