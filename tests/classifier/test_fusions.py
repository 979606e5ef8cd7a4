"""Every fusion through the classifier: saved and loaded to the bit, gates readable, clean ends."""

import numpy as np
import pytest

from layerfuse import FusionClassifier
from layerfuse.core.errors import UnknownOptionError
from layerfuse.fuse import FUSIONS, GatedFusion


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Keep embeddings, so that each fusion costs its fit only."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def fit(make, toy, tiny_encoder, tiny_decoder, store):
    """Fit a fusion of two backbones."""

    def fit(**options) -> FusionClassifier:
        backbones = [tiny_encoder, tiny_decoder]
        return make(backbones=backbones, cache=store, **options).fit(*toy())

    return fit


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_saved_classifier_predicts_the_same_bits(fit, toy, tmp_path, fusion):
    classifier = fit(fusion=fusion)
    classifier.save(tmp_path / "saved")
    again = FusionClassifier.load(tmp_path / "saved", device="cpu", offline=True)
    texts, labels = toy(30, seed=2)

    probabilities = classifier.predict_proba(texts)
    np.testing.assert_array_equal(again.predict_proba(texts), probabilities)
    assert (again.predict(texts) == labels).mean() > 0.6
    if isinstance(classifier.fusion_, GatedFusion):
        gates, loaded = classifier.gates(texts), again.gates(texts)
        assert gates.names == loaded.names
        np.testing.assert_array_equal(gates.weights, loaded.weights)
        assert gates.weights.shape == (30, len(gates.names))
        assert {name.split(":")[0] for name in gates.names} == {"encoder", "decoder"}
    else:
        with pytest.raises(UnknownOptionError, match=f"'{fusion}' has no gates.*: .*gated"):
            classifier.gates(texts)


@pytest.mark.parametrize("fusion", ["auto", *FUSIONS])
def test_every_fusion_can_be_fitted_with_a_class_of_one_text(
    make, toy, tiny_encoder, tiny_decoder, store, fusion
):
    texts, labels = toy()
    classifier = make(backbones=[tiny_encoder, tiny_decoder], cache=store, fusion=fusion)
    classifier.fit([*texts, "one of a kind"], [*labels, "odd"])
    assert classifier.classes_.tolist() == ["calm", "loud", "odd"]
    assert np.isfinite(classifier.trials_[0].log_loss)
    others, truth = toy(30, seed=2)
    np.testing.assert_allclose(classifier.predict_proba(others).sum(1), 1, rtol=1e-5)
    assert (classifier.predict(others) == truth).mean() > 0.6


def test_a_saved_mlp_predicts_the_same_bits(fit, toy, tmp_path):
    classifier = fit(head="mlp")
    classifier.save(tmp_path / "saved")
    again = FusionClassifier.load(tmp_path / "saved", device="cpu", offline=True)
    texts, _ = toy(30, seed=2)
    assert classifier.head_.kind == again.head_.kind == "mlp"
    np.testing.assert_array_equal(again.predict_proba(texts), classifier.predict_proba(texts))


def test_an_interrupted_second_fit_keeps_the_first(fit, toy, monkeypatch):
    classifier = fit(fusion="gated")
    before = classifier.predict_proba(toy(9, seed=2)[0])

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("layerfuse.learn.loop.torch.optim.AdamW.step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(*toy(seed=3))
    np.testing.assert_array_equal(classifier.predict_proba(toy(9, seed=2)[0]), before)


def test_an_interrupted_first_fit_leaves_the_classifier_unfitted(
    make, toy, tiny_encoder, tiny_decoder, monkeypatch
):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    classifier = make(backbones=[tiny_encoder, tiny_decoder], fusion="gated")
    monkeypatch.setattr("layerfuse.learn.loop.torch.optim.AdamW.step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(*toy())
    assert not [name for name in vars(classifier) if name.endswith("_")]


def test_a_fusion_of_pairs_refuses_one_backbone_under_one_pooling(
    make, toy, tiny_encoder, monkeypatch
):
    def embed(*_, **__):
        raise AssertionError("long work has begun")

    monkeypatch.setattr("layerfuse.classifier.estimator.embed_to_store", embed)
    classifier = make(backbones=[tiny_encoder], pooling="mean", fusion="residual_matmul")
    with pytest.raises(ValueError, match="all layers are of encoder:mean"):
        classifier.fit(*toy())


@pytest.mark.parametrize("fusion", ["gated", "stacking"])
def test_class_weights_reach_the_fusion(fit, fusion):
    plain, heavy = fit(fusion=fusion), fit(fusion=fusion, class_weight={"calm": 30, "loud": 1})
    states = [one.fusion_.arrays() for one in (plain, heavy)]
    assert any(not np.array_equal(states[0][name], states[1][name]) for name in states[0])
