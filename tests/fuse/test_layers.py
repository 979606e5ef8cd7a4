"""scalar_mix and attention: averages of layers, by weights that are learned."""

import numpy as np
import pytest

from layerfuse.core.layers import LayerRef
from layerfuse.core.supervision import Supervision
from layerfuse.fuse import Attention, Concat, Mean, ScalarMix
from layerfuse.fuse.gate import Gate
from layerfuse.learn import Schedule

REFS = tuple(LayerRef(name, layer, "mean") for layer in (1, 2) for name in ("a", "b"))
SOURCES = np.array([0, 1, 0, 1])


def layers_of(n_texts=300, informative=2, seed=0):
    """Return two layers of each of two sources, interleaved; one of the four has the label."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n_texts) % 3)
    blocks = [rng.normal(size=(n_texts, w)).astype(np.float32) * 3 + 1 for w in (12, 9, 12, 9)]
    blocks[informative][np.arange(n_texts), labels] += 9
    return blocks, labels


@pytest.fixture(scope="module", autouse=True)
def brisk():
    """Learn with a learning rate for few texts."""
    schedule = Schedule(2e-2, weight_decay=0.1, batch_texts=64, max_epochs=40, patience=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("layerfuse.fuse.gate._SCHEDULE", schedule)
        yield


@pytest.fixture(scope="module")
def attention():
    """Fit once for several tests."""
    train, labels = layers_of()
    return train, Attention.fit_fuse(train, REFS, Supervision.of(labels))[0]


def plain_mix(train, blocks, weights):
    """ELMo's equation 1, one text and layer at a time."""
    fused = []
    for i in range(len(blocks[0])):
        averages = []
        for source in (0, 1):
            total = 0
            for layer in np.flatnonzero(source == SOURCES):
                x = (blocks[layer][i] - train[layer].mean(0)) / train[layer].std(0)
                normal = (x - x.mean()) / x.std() / np.sqrt(len(x))
                total = total + weights[layer] * normal
            averages.append(total)
        fused.append(np.concatenate(averages))
    return np.array(fused)


def test_scalar_mix_is_the_plain_formula():
    train, labels = layers_of()
    test, _ = layers_of(20, seed=1)
    fusion, vectors = ScalarMix.fit_fuse(train, REFS, Supervision.of(labels))
    np.testing.assert_allclose(vectors, plain_mix(train, train, fusion.weights), atol=1e-5)
    np.testing.assert_allclose(fusion.fuse(test), plain_mix(train, test, fusion.weights), atol=1e-5)


@pytest.mark.parametrize("fusion", [ScalarMix, Attention])
@pytest.mark.parametrize("informative", [1, 2])
def test_weights_go_to_the_layer_that_knows(fusion, informative):
    train, labels = layers_of(informative=informative)
    fitted, _ = fusion.fit_fuse(train, REFS, Supervision.of(labels))
    gates = fitted.gates(layers_of(50, informative, seed=1)[0]).mean(0)
    others = np.flatnonzero(SOURCES[informative] == SOURCES)
    rival = others[others != informative][0]
    assert gates[informative] > gates[rival] + 0.3


@pytest.mark.parametrize("fusion", [ScalarMix, Attention])
def test_classes_of_one_text_say_nothing_of_layers(fusion):
    """Fits without these texts are confidently wrong about them, whatever the weights."""
    train, labels = layers_of()
    more, _ = layers_of(120, seed=1)
    both = [np.concatenate(pair) for pair in zip(train, more, strict=True)]
    every = np.concatenate([labels, 3 + np.arange(120)])
    without, with_them = (
        fusion.fit_fuse(blocks, REFS, Supervision.of(known))[0].gates(train).mean(0)
        for blocks, known in ((train, labels), (both, every))
    )
    np.testing.assert_allclose(with_them, without, atol=0.1)


def test_labels_that_nothing_tells_leave_weights_about_even():
    train, labels = layers_of()
    shuffled = np.random.default_rng(9).permutation(labels)
    for fusion in (ScalarMix, Attention):
        fitted, _ = fusion.fit_fuse(train, REFS, Supervision.of(shuffled))
        assert np.abs(fitted.gates(train) - 0.5).mean() < 0.2


def test_attention_with_even_weights_is_mean(attention):
    train, fitted = attention
    even = Attention(fitted.common, Gate.constant(SOURCES, np.full(4, 0.5, dtype=np.float32)))
    mean = Mean(Concat.fit(train), SOURCES)
    np.testing.assert_allclose(even.fuse(train), mean.fuse(train), atol=1e-6)
    assert fitted.out_width == mean.out_width == 21


def test_attention_is_the_weighted_average_by_its_gates(attention):
    train, fitted = attention
    parts = np.split(Concat.fit(train).fuse(train), [12, 21, 33], axis=1)
    gates = fitted.gates(train)
    want = [gates[:, [i]] * parts[i] + gates[:, [i + 2]] * parts[i + 2] for i in (0, 1)]
    np.testing.assert_allclose(fitted.fuse(train), np.hstack(want), atol=1e-5)
    assert gates.std(0).max() > 0


def test_sources_of_one_layer_have_nothing_to_choose():
    train, labels = layers_of()
    for fusion in (ScalarMix, Attention):
        fitted, _ = fusion.fit_fuse(train[:2], REFS[:2], Supervision.of(labels))
        np.testing.assert_array_equal(fitted.gates([b[:5] for b in train[:2]]), 1)
