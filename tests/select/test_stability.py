"""selection_stability: shares of resamples in which a layer is chosen, and standard errors."""

import numpy as np
import pytest

from layerfuse.core.costs import Budget, DepthCosts
from layerfuse.core.errors import LabelError, SelectionError
from layerfuse.core.layers import LayerEmbeddings, LayerRef
from layerfuse.core.scores import LayerScores
from layerfuse.score import score_layers
from layerfuse.select import select_layers, selection_stability, stability

REFS = tuple(LayerRef("toy", i, "mean") for i in range(3))


def noisy(gap, n_texts=400, seed=0):
    """Scores of three layers; the second is better by the given number of standard errors."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n_texts, 3))
    noise = (noise - noise.mean(0)) / noise.std(0)
    gaps = np.array([-50.0, gap * np.sqrt(2), 0.0]) / np.sqrt(n_texts)
    return LayerScores.from_per_text("c", REFS, noise + gaps)


def test_shares_are_one_for_a_clear_choice_and_half_for_a_tie():
    sure = selection_stability(noisy(6), "best", k=1)
    open_ = selection_stability(noisy(0), "best", k=1, n_resamples=400)
    assert sure.shares == (0.0, 1.0, 0.0)
    assert open_.shares[1] == pytest.approx(0.5, abs=0.1)
    assert open_.shares[0] == 0
    assert (sure.n_resamples, open_.n_resamples) == (200, 400)


def test_a_gain_of_one_standard_error_has_a_share_of_five_sixths():
    """The difference of resampled means is normal around the difference of the means."""
    shares = selection_stability(noisy(1), "best", k=1, n_resamples=1000).shares
    assert shares[1] == pytest.approx(0.8413, abs=0.05)


def test_resampled_standard_errors_equal_those_of_the_scores():
    scores = noisy(1)
    got = selection_stability(scores, "top", k=1, n_resamples=1000)
    assert got.standard_errors == pytest.approx(scores.standard_errors, rel=0.15)


def test_shares_sum_to_k():
    assert sum(selection_stability(noisy(0), "best", k=2).shares) == pytest.approx(2)


def test_shares_of_a_selector_that_ignores_scores_are_zero_or_one():
    assert selection_stability(noisy(0), "upper_half").shares == (0, 1, 1)


def test_the_budget_holds_in_every_resample():
    budget = Budget((DepthCosts("toy", (1.0, 3.0, 5.0), (1, 1, 1)),), max_milliseconds=4.0)
    shares = selection_stability(noisy(-2), "budget", k=1, budget=budget).shares
    assert shares == (0, 1, 0)


def test_stability_depends_on_random_state_alone():
    first, again, other = (
        selection_stability(noisy(0), "best", k=1, random_state=state) for state in (0, 0, 1)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("selector", ["greedy", "mrmr", "group_lasso"])
def test_selectors_that_need_embeddings_run_on_halves_of_the_texts(embed, complements, selector):
    a, b, labels = complements
    noise = np.random.default_rng(1).normal(size=(2, *a.shape))
    block = embed([a, noise[0], b, noise[1]])
    scores = score_layers(block, labels)
    given = {"embeddings": block, "labels": labels}
    chosen = select_layers(scores, selector, **given)
    got = selection_stability(scores, selector, **given, n_resamples=6)
    assert {ref.layer for ref in chosen} == {0, 2}
    assert [got.shares[0], got.shares[2]] == [1, 1]
    assert max(got.shares[1], got.shares[3]) < 0.7


def test_scores_without_numbers_per_text_are_computed_again_on_halves(embed, complements):
    a, b, labels = complements
    block = embed([a, b])
    seen = []

    def rescore(blocks, classes):
        seen.append((blocks[0].n_texts, sorted(np.bincount(classes).tolist())))
        return LayerScores("own", block.refs, tuple(float(x.std()) for x in blocks[0].values))

    scores = rescore([block], labels)
    given = {"embeddings": block, "labels": labels, "rescore": rescore, "n_resamples": 5}
    got = selection_stability(scores, "best", k=1, **given)
    counts = np.bincount(labels)
    assert seen[1:] == [(sum(counts // 2), sorted((counts // 2).tolist()))] * 5
    assert sum(got.shares) == pytest.approx(1)


def test_halves_are_drawn_from_at_most_the_maximum_of_texts(embed, complements, monkeypatch):
    a, b, labels = complements
    monkeypatch.setattr(stability, "MAX_TEXTS", 100)
    sizes = []

    def rescore(blocks, classes):
        sizes.append(len(classes))
        return score_layers(blocks, classes, lambda x, _: float(x.std()))

    block = embed([a, b])
    scores = rescore([block], labels)
    selection_stability(scores, "best", embeddings=block, labels=labels, rescore=rescore)
    assert max(sizes[1:]) <= 50
    assert len(sizes) == 21


def test_standard_errors_from_halves_are_scaled_to_all_texts(embed, monkeypatch):
    """The error of a mean falls with the root of all texts, though halves come from few of them."""
    monkeypatch.setattr(stability, "MAX_TEXTS", 200)
    rng = np.random.default_rng(0)
    block = embed([rng.normal(size=(3200, 1)), rng.normal(size=(3200, 1))])
    labels = np.arange(3200) % 2

    def rescore(blocks, _):
        return LayerScores("mean", block.refs, tuple(float(x.mean()) for x in blocks[0].values))

    given = {"embeddings": block, "labels": labels, "rescore": rescore}
    got = selection_stability(rescore([block], labels), "best", k=1, n_resamples=300, **given)
    assert got.standard_errors == pytest.approx([3200**-0.5] * 2, rel=0.15)
    once = selection_stability(rescore([block], labels), "best", k=1, n_resamples=1, **given)
    assert once.standard_errors == ()


def test_halves_can_be_drawn_of_very_many_classes(embed, monkeypatch):
    """A stratified sample would have one text of each class, which cannot be halved."""
    monkeypatch.setattr(stability, "MAX_TEXTS", 60)
    labels = np.repeat(np.arange(60), 2)
    pool = stability._pool(labels, np.random.default_rng(0))
    assert len(pool) == 60
    assert set(np.bincount(labels[pool]).tolist()) == {0, 2}
    block = embed([np.random.default_rng(1).normal(size=(120, 3))])
    plain = LayerScores("own", block.refs, (0.1,))
    given = {"embeddings": block, "labels": labels, "rescore": lambda *_: plain}
    assert selection_stability(plain, "best", n_resamples=3, **given).shares == (1.0,)


def test_every_half_has_two_of_each_class_and_rare_ones_are_left_out():
    classes = np.array([0] * 50 + [1] * 2 + [2] + [3] * 7)
    for seed in range(5):
        half = stability._half(classes, np.random.default_rng(seed))
        assert np.bincount(classes[half], minlength=4).tolist() == [25, 2, 0, 3]
        assert len(set(half.tolist())) == len(half)


@pytest.mark.parametrize(("size", "n_large"), [(2, 0), (3, 0), (2, 1), (3, 2)])
def test_half_of_the_classes_of_two_or_three_texts_are_in_each_half(size, n_large):
    classes = np.repeat(np.arange(10 + n_large), [size] * 10 + [8] * n_large)
    drawn = np.zeros(len(classes))
    for seed in range(200):
        half = stability._half(classes, np.random.default_rng(seed))
        counts = np.bincount(classes[half], minlength=10 + n_large)
        assert sorted(counts[:10].tolist()) == [0] * 5 + [2] * 5
        assert counts[10:].tolist() == [4] * n_large
        drawn[half] += 1
    expected = np.repeat([1 / size, 0.5], [10 * size, 8 * n_large])
    np.testing.assert_allclose(drawn / 200, expected, atol=0.15)


def test_choices_among_layers_of_noise_are_unstable_with_few_texts_a_class(embed):
    """Layers of noise: the best layer differs between halves, also if classes have two texts."""
    labels = np.repeat(np.arange(12), 2)
    block = embed(np.random.default_rng(0).normal(size=(6, 24, 4)))
    scores = rescored(block, labels)
    given = {"embeddings": block, "labels": labels, "rescore": rescored}
    got = selection_stability(scores, "best", k=1, **given)
    assert max(got.shares) < 1
    assert min(got.standard_errors) > 0


@pytest.mark.parametrize("labels", ["aabb", "aabbc"])
def test_texts_of_which_all_halves_are_equal_are_refused(embed, labels):
    block = embed(np.random.default_rng(0).normal(size=(2, len(labels), 4)))
    scores = LayerScores("c", block.refs, (0.1, 0.2))
    given = {"embeddings": block, "labels": [*labels], "rescore": lambda *_: scores}
    with pytest.raises(LabelError, match=r"three texts of one class, or three .* counts \[2, 2"):
        selection_stability(scores, "best", **given)
    enough = embed(np.random.default_rng(0).normal(size=(2, 5, 4)))
    given |= {"embeddings": enough, "labels": [*"aabbb"]}
    assert sum(selection_stability(scores, "best", k=1, **given).shares) == 1


def test_missing_embeddings_or_rescore_are_refused(embed, complements):
    a, b, labels = complements
    block = embed([a, b])
    plain = LayerScores("own", block.refs, (0.1, 0.2))
    with pytest.raises(SelectionError, match=r"'best' by own needs embeddings=\.\.\. and labels"):
        selection_stability(plain, "best")
    with pytest.raises(SelectionError, match=r"own has no number per text: .* needs rescore"):
        selection_stability(plain, "best", embeddings=block, labels=labels)
    with pytest.raises(SelectionError, match=r"n_resamples=0: expected 1 or more"):
        selection_stability(noisy(0), "best", n_resamples=0)


@pytest.mark.parametrize("labels", [["a"] * 39 + ["b"], [*"abcdefgh", *["a"] * 32]])
def test_labels_without_two_classes_of_two_texts_are_refused_with_counts(embed, labels):
    layers = embed(np.random.default_rng(0).normal(size=(2, 40, 5)))
    scores = LayerScores("c", layers.refs, (0.1, 0.2))
    with pytest.raises(LabelError, match=r"two classes of two texts or more, got counts \[3"):
        selection_stability(scores, "greedy", embeddings=layers, labels=labels)


def test_standard_errors_follow_their_layers_in_any_order_of_backbones():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    blocks = [
        LayerEmbeddings(
            rng.normal(labels[:, None] * shift, size=(1, 60, 4)).astype(np.float32),
            (LayerRef(name, 1, "mean"),),
        )
        for name, shift in (("a", 0.2), ("b", 3.0))
    ]
    scores = score_layers(blocks, labels, "hscore")
    one, other = (
        selection_stability(scores, "best", k=1, embeddings=own, labels=labels, rescore=rescored)
        for own in (blocks, blocks[::-1])
    )
    assert one.standard_errors[0] != pytest.approx(one.standard_errors[1], rel=0.2)
    assert one.standard_errors == pytest.approx(other.standard_errors)


def rescored(blocks, classes):
    return score_layers(blocks, classes, "hscore")
