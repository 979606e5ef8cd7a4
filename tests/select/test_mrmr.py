"""mrmr: similarity is the unbiased CKA; layers that add something come before copies."""

import itertools

import numpy as np
import pytest

from layerfuse.core.errors import SelectionError
from layerfuse.core.hsic import unbiased_hsic
from layerfuse.core.scores import LayerScores
from layerfuse.select import select_layers


def kernels(n_texts=7, seed=0):
    rng = np.random.default_rng(seed)
    one, two = rng.normal(size=(n_texts, 3)), rng.normal(size=(n_texts, 4))
    two[:, 0] += one[:, 0]
    return one @ one.T, two @ two.T


def test_hsic_equals_the_inner_product_of_u_centred_matrices():
    """Unbiased HSIC as inner product of U-centred matrices, Szekely and Rizzo 2014, Lemma 3.1."""

    def u_centred(kernel):
        n = len(kernel)
        bare = kernel - np.diag(np.diag(kernel))
        means = bare.sum(0) / (n - 2)
        centred = bare - means - means[:, None] + bare.sum() / ((n - 1) * (n - 2))
        return centred - np.diag(np.diag(centred))

    one, two = kernels()
    expected = np.sum(u_centred(one) * u_centred(two))
    assert unbiased_hsic(one, two) == pytest.approx(expected)


def test_hsic_is_unbiased():
    """Its average over all samples of 5 from 7 texts equals its value on the 7."""
    one, two = kernels()
    samples = [np.ix_(s, s) for s in itertools.combinations(range(7), 5)]
    each = [unbiased_hsic(one[s], two[s]) / (5 * 2) for s in samples]
    assert np.mean(each) == pytest.approx(unbiased_hsic(one, two) / (7 * 4))


def test_similarity_of_wide_noise_is_close_to_zero():
    rng = np.random.default_rng(0)
    one, two = (x @ x.T for x in rng.normal(size=(2, 50, 400)))
    similarity = unbiased_hsic(one, two) / np.sqrt(
        unbiased_hsic(one, one) * unbiased_hsic(two, two)
    )
    assert abs(similarity) < 0.1


def score_and_choose(block, values, labels, **options):
    scores = LayerScores("c", block.refs, values)
    selection = select_layers(scores, "mrmr", embeddings=block, labels=labels, **options)
    return [ref.layer for ref in selection]


def test_a_copy_of_the_best_layer_comes_after_one_that_adds_something(embed, complements):
    a, b, labels = complements
    block = embed([a, a, b, np.random.default_rng(1).normal(size=a.shape)])
    values = (0.9, 0.89, 0.4, 0.2)
    assert score_and_choose(block, values, labels, k=2) == [0, 2]


def test_a_high_score_outweighs_mere_dissimilarity(embed, complements):
    a, b, labels = complements
    noise = np.random.default_rng(1).normal(size=a.shape)
    assert score_and_choose(embed([a, noise, b]), (0.9, 0.1, 0.7), labels, k=2) == [0, 2]


def test_mrmr_is_invariant_to_shift_and_scale_of_the_scores(embed, complements):
    a, b, labels = complements
    block = embed([a, a, b, a + b])
    values = np.array([0.9, 0.85, 0.6, 0.5])
    orders = [
        score_and_choose(block, tuple((s * values + m).tolist()), labels, k=4)
        for s, m in [(1, 0), (100, -500), (1e-3, 0)]
    ]
    assert orders[0] == orders[1] == orders[2]


def test_without_k_only_layers_that_add_something_are_taken(embed, complements):
    a, b, labels = complements
    noise = np.random.default_rng(1).normal(size=(3, *a.shape))
    assert score_and_choose(embed([a, b, *noise]), (0.9, 0.9, 0.1, 0.2, 0.1), labels) == [0, 1]
    assert score_and_choose(embed([a, *noise]), (0.9, 0.1, 0.2, 0.1), labels) == [0]


def test_a_constant_layer_is_taken_only_if_k_requires_it(embed, complements):
    a, b, labels = complements
    block = embed([np.full_like(a, 0.3), a, b])
    assert score_and_choose(block, (0.0, 0.9, 0.8), labels) == [1, 2]
    assert set(score_and_choose(block, (0.0, 0.9, 0.8), labels, k=3)) == {0, 1, 2}


def test_layers_with_equal_scores_are_chosen_by_dissimilarity(embed, complements):
    a, b, labels = complements
    assert score_and_choose(embed([a, a, b]), (0.5, 0.5, 0.5), labels, k=2) == [0, 2]


@pytest.mark.parametrize("selector", ["mrmr", "group_lasso", "greedy"])
@pytest.mark.parametrize("k", [0, 3])
def test_a_k_out_of_range_is_refused_with_the_range(embed, complements, selector, k):
    a, b, labels = complements
    block = embed([a, b])
    scores = LayerScores("c", block.refs, (0.1, 0.2))
    with pytest.raises(SelectionError, match=rf"k={k} of toy: 2 scored layers\. Choose 1 to 2\."):
        select_layers(scores, selector, k=k, embeddings=block, labels=labels)


def test_too_few_texts_for_cka_are_refused(embed):
    layers = embed(np.random.default_rng(0).normal(size=(2, 3, 5)))
    scores = LayerScores("c", layers.refs, (0.1, 0.2))
    with pytest.raises(SelectionError, match="needs 4 texts or more, got 3"):
        select_layers(scores, "mrmr", embeddings=layers, labels=["a", "b", "a"])
