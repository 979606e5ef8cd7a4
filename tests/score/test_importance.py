"""``gradient`` by its own derivative, signals by column, and what combines them."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from layerfuse.core.errors import FeatureError, SignalError, UnknownOptionError
from layerfuse.core.layers import LayerEmbeddings, LayerRef
from layerfuse.core.signals import LayerSignals
from layerfuse.score import attention_entropy, criterion_info, importance, score_layers
from layerfuse.score.axes import project
from layerfuse.score.gradient import mask_gradients


def layers(n_layers=4, n_texts=60, width=6, n_classes=3, poolings=("mean",), seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n_texts) % n_classes)
    refs = tuple(LayerRef("toy", layer, p) for layer in range(n_layers) for p in poolings)
    values = rng.normal(size=(len(refs), n_texts, width)) * 3 + 1
    for i in range(len(refs)):
        values[i, np.arange(n_texts), labels] += i
    return LayerEmbeddings(values.astype(np.float32), refs), labels


def signals(name, columns, backbone="toy", n_texts=7, seed=0):
    values = np.random.default_rng(seed).random((n_texts, len(columns)))
    return LayerSignals(name, backbone, tuple(columns), values)


def cross_entropies(masks, shares, intercept, labels):
    logits = intercept + sum(mask * share for mask, share in zip(masks, shares, strict=True))
    top = logits.max(1)
    log_sums = top + np.log(np.exp(logits - top[:, None]).sum(1))
    return log_sums - logits[np.arange(len(labels)), labels]


@pytest.mark.parametrize("n_classes", [2, 5])
def test_mask_gradients_are_numerical_derivatives(n_classes):
    rng = np.random.default_rng(0)
    shares = list(rng.normal(size=(3, 20, n_classes)) * 2)
    intercept, labels = rng.normal(size=n_classes), np.arange(20) % n_classes
    got = mask_gradients(shares, intercept, np.eye(n_classes)[labels])
    for layer in range(3):
        step = 1e-5 * np.eye(3)[layer]
        up, down = (cross_entropies(1 + s, shares, intercept, labels) for s in (step, -step))
        np.testing.assert_allclose(got[layer], (up - down) / 2e-5, atol=1e-8)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_gradient_is_the_derivative_of_a_head_on_all_layers(n_classes):
    """Reference without projection: with as many axes as features, projection loses nothing."""
    block, labels = layers(n_classes=n_classes)
    scores = score_layers(block, labels, "gradient")
    blocks = [block.row(ref).astype(np.float64) for ref in block.refs]
    blocks = [(x - x.mean(0)) / x.std(0) / np.sqrt(6 * len(blocks)) for x in blocks]
    head = LogisticRegression(C=16.0, tol=1e-8, max_iter=1000)
    head.fit(np.concatenate(blocks, axis=1), labels)
    weights, intercept = head.coef_, head.intercept_
    if n_classes == 2:
        weights, intercept = np.vstack([0 * weights, weights]), np.append(0, intercept)
    shares = [x @ w.T for x, w in zip(blocks, np.split(weights, 4, axis=1), strict=True)]
    want = []
    for layer in range(4):
        step = 1e-5 * np.eye(4)[layer]
        up, down = (cross_entropies(1 + s, shares, intercept, labels) for s in (step, -step))
        want.append(np.abs((up - down) / 2e-5).mean())
    np.testing.assert_allclose(scores.values, want, rtol=0.02, atol=1e-4)


def test_gradient_of_many_texts_uses_a_sample_with_every_class(monkeypatch):
    block, labels = layers(n_texts=200)
    labels = labels % 2
    labels[0] = 2  # a class of one text
    whole = score_layers(block, labels, "gradient")
    monkeypatch.setattr("layerfuse.score.gradient.MAX_TEXTS", 120)
    sampled = score_layers(block, labels, "gradient")
    assert whole.per_text.shape == (200, 4)
    assert sampled.per_text.shape == (120, 4)
    assert sampled.best == whole.best


@pytest.mark.parametrize(("n_texts", "width"), [(40, 8), (12, 30)])
def test_projection_preserves_inner_products_of_texts(n_texts, width):
    features = np.random.default_rng(0).normal(size=(n_texts, width)) * 4 + 2
    standard = (features - features.mean(0)) / features.std(0) / np.sqrt(width)
    axes = project(features, 64)
    np.testing.assert_allclose(axes @ axes.T, standard @ standard.T, atol=1e-5)
    few = project(features, 3)
    singular = np.linalg.svd(standard, compute_uv=False)
    np.testing.assert_allclose(np.linalg.norm(few, axis=0)[::-1], singular[:3], rtol=1e-4)


@pytest.mark.parametrize(("prefer", "sign"), [("low", -1), ("high", 1)])
def test_attention_entropy_is_the_mean_of_its_column_for_every_pooling(prefer, sign):
    block, _ = layers(poolings=("mean", "last"))
    given = signals("attention_entropy", (1, 2, 3))
    scores = score_layers(block, None, attention_entropy(prefer), signals=[given])
    assert scores.refs == block.refs[2:]  # layer 0 has no attention
    assert list(scores.values) == pytest.approx(sign * np.repeat(given.values.mean(0), 2))
    errors = np.repeat(given.values.std(0), 2) / np.sqrt(7)
    assert list(scores.standard_errors) == pytest.approx(errors)


def test_backbone_gradient_is_the_mean_of_its_column():
    block, labels = layers()
    given = signals("backbone_gradient", (0, 1, 2, 3))
    scores = score_layers(block, labels, "backbone_gradient", signals=[given])
    assert list(scores.values) == pytest.approx(given.values.mean(0))


def test_each_backbone_is_scored_by_its_own_signal():
    one, labels = layers()
    two = LayerEmbeddings(one.values, tuple(LayerRef("two", r.layer, "mean") for r in one.refs))
    first = signals("attention_entropy", (1, 2, 3))
    second = signals("attention_entropy", (2, 3), "two", n_texts=9, seed=1)
    unused = signals("backbone_gradient", (1,), "two")
    scores = score_layers([one, two], labels, "attention_entropy", signals=[second, unused, first])
    assert scores.refs == one.refs[1:] + two.refs[2:]
    want = np.concatenate([-first.values.mean(0), -second.values.mean(0)])
    assert list(scores.values) == pytest.approx(want)


def test_a_signal_of_other_layers_is_refused():
    block, _ = layers(n_layers=2)
    given = signals("attention_entropy", (5, 6))
    with pytest.raises(SignalError, match="covers the layers 5, 6; got embeddings of toy:0:mean"):
        score_layers(block, None, "attention_entropy", signals=[given])


@pytest.mark.parametrize("prefer", ["low", "high"])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("gradient", ["gradient", "backbone_gradient"])
def test_importance_equals_a_computation_by_hand(prefer, weight, gradient):
    block, labels = layers()
    given = [signals("attention_entropy", (1, 2, 3)), signals("backbone_gradient", range(4))]
    pull = np.array(score_layers(block, labels, gradient, signals=given).values)[1:]
    spread = given[0].values.mean(0)
    spread = -spread if prefer == "low" else spread
    pull, spread = ((v - v.min()) / (v.max() - v.min()) for v in (pull, spread))
    scores = score_layers(block, labels, importance(weight, prefer, gradient), signals=given)
    assert scores.refs == block.refs[1:]
    np.testing.assert_allclose(scores.values, weight * pull + (1 - weight) * spread)
    assert scores.standard_errors == ()


def test_importance_has_defaults_and_names_its_other_parameters():
    info = criterion_info("importance")
    assert info == importance()
    assert info.needs == {"labels", "attention_entropy"}
    other = importance(0.8, "high", "backbone_gradient")
    assert other.name == "importance(0.8, high, backbone_gradient)"
    assert other.needs == {"labels", "attention_entropy", "backbone_gradient"}


def test_importance_with_one_constant_part_ranks_by_the_other():
    block, labels = layers()
    same = LayerSignals("attention_entropy", "toy", (1, 2, 3), np.full((4, 3), 0.4))
    pull = score_layers(block, labels, "gradient").ranked()
    scores = score_layers(block, labels, "importance", signals=[same])
    assert scores.ranked() == tuple(ref for ref in pull if ref.layer)
    assert max(scores.values) == 0.5


@pytest.mark.parametrize("weight", [-0.1, 1.5, float("nan")])
def test_importance_refuses_a_weight_out_of_range(weight):
    with pytest.raises(UnknownOptionError, match=r"weight=.* expected 0 \.\. 1"):
        importance(weight)


@pytest.mark.unchecked
def test_importance_refuses_unknown_options():
    with pytest.raises(UnknownOptionError, match="low, high"):
        importance(prefer="lowest")
    with pytest.raises(UnknownOptionError, match="gradient, backbone_gradient"):
        importance(gradient="none")


def test_gradient_names_the_layer_that_is_not_finite():
    block, labels = layers()
    block.values[2, 5, 1] = np.nan
    with pytest.raises(FeatureError, match=r"^toy:2:mean: "):
        score_layers(block, labels, "gradient")
