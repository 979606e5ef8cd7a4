"""greedy: picks what complements, not what repeats; its losses are those of ridge."""

import importlib

import numpy as np
import pytest

from layerfuse.core.errors import LabelError, LayerError, SelectionError, ShapeError
from layerfuse.core.layers import LayerEmbeddings, LayerRef
from layerfuse.core.ridge import one_hot, ridge_path
from layerfuse.core.scores import LayerScores
from layerfuse.core.standardize import Standardizer
from layerfuse.score import score_layers
from layerfuse.select import kernels, select_layers
from layerfuse.select.kernels import layer_kernel, loo_losses, read_standardized

# Not "from ... import greedy": its sibling ``layers`` may have put the function there.
greedy_module = importlib.import_module("layerfuse.select.greedy")


def embed(layers, backbone="toy"):
    refs = tuple(LayerRef(backbone, i, "mean") for i in range(len(layers)))
    return LayerEmbeddings(np.stack(layers).astype(np.float32), refs)


def complements(n_texts=240, width=6, seed=0):
    """Two layers that each hold one of the two things the label depends on."""
    rng = np.random.default_rng(seed)
    one, two = rng.normal(size=(2, n_texts))
    layers = rng.normal(size=(2, n_texts, width))
    layers[0, :, 0] = 3 * one
    layers[1, :, 0] = 3 * two
    return layers[0], layers[1], (one + two > 0).astype(int)


def choose(embeddings, labels, **options):
    blocks = embeddings if isinstance(embeddings, list) else [embeddings]
    scores = score_layers(blocks, labels)
    return select_layers(scores, "greedy", embeddings=embeddings, labels=labels, **options)


@pytest.mark.parametrize("order", ["ABC", "CBA", "BAC", "ACB", "CAB"])
def test_greedy_takes_both_complements_and_no_copy(order):
    a, b, labels = complements()
    layers = {"A": a, "B": b, "C": a.copy()}
    selection = choose(embed([layers[name] for name in order]), labels)
    names = [order[ref.layer] for ref in selection]
    assert len(names) == 2
    assert "B" in names


def test_greedy_takes_complements_of_different_backbones_and_widths():
    a, b, labels = complements()
    wide = np.hstack([b, np.random.default_rng(1).normal(size=b.shape)])
    selection = choose([embed([a, a], "one"), embed([wide], "two")], labels)
    assert set(selection.backbones) == {"one", "two"}
    assert len(selection) == 2


def test_greedy_starts_with_the_best_layer():
    a, b, labels = complements()
    noise = np.random.default_rng(1).normal(size=a.shape)
    block = embed([noise, b, a])
    assert choose(block, labels).refs[0] == score_layers(block, labels).best


@pytest.mark.parametrize(("n_texts", "width"), [(150, 5), (150, 60), (400, 600)])
def test_greedy_takes_one_layer_if_all_are_noise(n_texts, width):
    sizes = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        block = embed(rng.normal(size=(5, n_texts, width)))
        sizes.append(len(choose(block, rng.permutation(np.arange(n_texts) % 2))))
    assert sizes.count(1) >= 7  # by chance, noise gains one standard error in some draws
    assert max(sizes) <= 2


def test_greedy_takes_at_most_the_maximum_of_layers(monkeypatch):
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(4, 200))
    layers = rng.normal(size=(4, 200, 3)) * 0.1
    layers[:, :, 0] = latent
    labels = (latent.sum(0) > 0).astype(int)
    block = embed(layers)
    scores = score_layers(block, labels)
    assert len(greedy_module.greedy(scores, [block], labels)) == 4
    monkeypatch.setattr(greedy_module, "MAX_LAYERS", 2)
    assert len(greedy_module.greedy(scores, [block], labels)) == 2
    monkeypatch.setattr(greedy_module, "PER_BACKBONE", 1)
    assert len(greedy_module.greedy(scores, [block], labels)) == 1


@pytest.mark.parametrize("k", [1, 3, 5])
def test_greedy_takes_k_layers_even_if_they_add_nothing(k):
    a, b, labels = complements()
    block = embed([a, b, a, a, b])
    scores = score_layers(block, labels)
    selection = select_layers(scores, "greedy", k=k, embeddings=block, labels=labels)
    assert len(selection) == k
    assert selection.refs[:2] == choose(block, labels).refs[:k][:2]


def test_candidates_are_only_the_best_layers_of_each_backbone():
    a, b, labels = complements()
    block = embed([a, a, a, a, b])
    scores = LayerScores("own", block.refs, (5.0, 4.0, 3.0, 2.0, 1.0))
    selection = select_layers(scores, "greedy", embeddings=block, labels=labels)
    assert [ref.layer for ref in selection] == [0]


def test_a_constant_layer_is_never_added():
    a, b, labels = complements()
    selection = choose(embed([np.full_like(a, 0.3), a, b]), labels)
    assert 0 not in {ref.layer for ref in selection}


@pytest.mark.parametrize("widths", [(4, 7), (30, 90)])
def test_losses_equal_those_of_ridge_on_the_scaled_concatenation(widths):
    rng = np.random.default_rng(0)
    labels = np.arange(50) % 3
    blocks = [
        (rng.normal(size=(50, width)) + labels[:, None] * 0.5).astype(np.float32)
        for width in widths
    ]
    embeddings = [embed([block], f"b{i}") for i, block in enumerate(blocks)]
    refs = [block.refs[0] for block in embeddings]
    read = read_standardized(embeddings, refs, np.arange(50))
    parts = [layer_kernel(features) for _, features in read]
    assert [float(np.trace(kernel)) / 50 for kernel in parts] == pytest.approx([1, 1])
    got = loo_losses(parts[0] + parts[1], 2, one_hot(labels))

    standard = [Standardizer.fit(block).apply(block).astype(float) for block in blocks]
    scaled = [s / np.sqrt(np.square(s).sum(1).mean()) for s in standard]
    path = ridge_path(np.hstack(scaled))
    want = min(
        (
            np.square(path.loo_errors(one_hot(labels), 2 * penalty)).sum(1)
            for penalty in kernels._PENALTIES
        ),
        key=np.mean,
    )
    np.testing.assert_allclose(got, want, rtol=1e-4)


def test_a_sample_of_many_texts_is_enough_and_reproducible(monkeypatch):
    monkeypatch.setattr(greedy_module, "MAX_TEXTS", 120)
    a, b, labels = complements(n_texts=400)
    block = embed([a, b, a])
    first = choose(block, labels, random_state=3)
    assert choose(block, labels, random_state=3) == first
    assert {1} < {ref.layer for ref in first}


def test_labels_may_be_strings():
    a, b, labels = complements()
    block = embed([a, b, a])
    words = ["no" if label == 0 else "yes" for label in labels]
    assert choose(block, words) == choose(block, labels)


@pytest.mark.parametrize("missing", ["embeddings", "labels"])
def test_missing_embeddings_or_labels_are_refused(missing):
    a, b, labels = complements()
    block = embed([a, b])
    given = {"embeddings": block, "labels": labels} | {missing: None}
    with pytest.raises(SelectionError, match=r"needs embeddings=\.\.\. and labels="):
        select_layers(score_layers(block, labels), "greedy", **given)


def test_embeddings_of_other_backbones_than_the_scored_ones_are_refused():
    a, b, labels = complements()
    one, two = embed([a], "one"), embed([b], "two")
    scores = score_layers([one, two], labels)
    with pytest.raises(SelectionError, match=r"embeddings of one, two, got one\."):
        select_layers(scores, "greedy", embeddings=one, labels=labels)
    with pytest.raises(SelectionError, match=r"embeddings of one, got one, two\."):
        select_layers(scores.of("one"), "greedy", embeddings=[one, two], labels=labels)


def test_a_wrong_number_of_labels_is_refused():
    a, b, labels = complements()
    block = embed([a, b])
    with pytest.raises(ShapeError, match="toy has 240 texts, but there are 239 labels"):
        select_layers(score_layers(block, labels), "greedy", embeddings=block, labels=labels[:-1])


def test_one_class_is_refused():
    a, b, labels = complements()
    block = embed([a, b])
    with pytest.raises(LabelError, match="at least two classes"):
        select_layers(
            score_layers(block, labels), "greedy", embeddings=block, labels=[1] * len(labels)
        )


def test_embeddings_without_a_scored_layer_are_refused():
    a, b, labels = complements()
    scores = score_layers(embed([a, b]), labels)
    with pytest.raises(LayerError, match="toy:1:mean is not among"):
        select_layers(scores, "greedy", embeddings=embed([a]), labels=labels)
