"""Kernel weights: the leave-one-out error equals refits, its slope finite differences."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.linear_model import Ridge

from layerfuse.core.ridge import one_hot
from layerfuse.core.supervision import Supervision
from layerfuse.fuse import kernel_weights as module
from layerfuse.fuse.kernel_weights import _loo_error


def sources_of(n_texts=60, informative=(0,), widths=(4, 9, 6), seed=0, strength=1.0):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n_texts) % 2)
    sources = [rng.normal(size=(n_texts, width)) for width in widths]
    for i in informative:
        sources[i][:, 0] += strength * (2 * labels - 1)
    return [(s / np.sqrt(s.shape[1])).astype(np.float32) for s in sources], labels


def kernel_weights(sources, labels):
    owners = np.repeat(np.arange(len(sources)), [source.shape[1] for source in sources])
    return module.kernel_weights(np.hstack(sources), owners, Supervision.of(labels))


def centred_problem(n_texts, weights):
    sources, labels = sources_of(n_texts)
    shares = weights / weights.sum()
    roots = np.sqrt(shares * n_texts)[:, None]
    kernels = [roots * (s - shares @ s) for s in sources]
    targets = one_hot(labels)
    return sources, np.stack([k @ k.T for k in kernels]), targets, roots, shares


@pytest.mark.parametrize("weighted", [False, True])
def test_the_error_is_that_of_a_fit_without_each_text(weighted):
    n_texts, sizes, penalty = 25, np.array([0.5, 2.0, 0.1]), 1.7
    weights = np.random.default_rng(1).uniform(0.5, 2, n_texts) if weighted else np.ones(n_texts)
    sources, kernels, targets, roots, shares = centred_problem(n_texts, weights)
    error, _ = _loo_error(kernels, sizes, roots * (targets - shares @ targets), penalty, shares)
    features = np.hstack([np.sqrt(a) * s for a, s in zip(sizes, sources, strict=True)])
    losses = []
    for i in range(n_texts):
        rest = np.arange(n_texts) != i
        model = Ridge(alpha=penalty)
        model.fit(
            features[rest], targets[rest], sample_weight=weights[rest] * n_texts / weights.sum()
        )
        losses.append(np.square(targets[i] - model.predict(features[[i]])[0]).sum())
    assert error == pytest.approx(shares @ losses, rel=1e-4)


def test_the_slope_is_that_of_finite_differences():
    _, kernels, targets, roots, shares = centred_problem(25, np.ones(25))
    targets = roots * (targets - shares @ targets)
    sizes = np.array([0.5, 2.0, 0.1])
    _, slopes = _loo_error(kernels, sizes, targets, 1.7, shares)
    numeric = approx_fprime(sizes, lambda s: _loo_error(kernels, s, targets, 1.7, shares)[0], 1e-6)
    np.testing.assert_allclose(slopes, numeric, rtol=1e-3, atol=1e-6)


def test_the_weight_goes_to_the_source_that_knows():
    for i in range(3):
        sources, labels = sources_of(200, informative=(i,), strength=2)
        weights = kernel_weights(sources, labels)
        assert weights.sum() == pytest.approx(1)
        assert weights[i] > 1.8 * np.delete(weights, i).max()


def test_the_error_is_that_of_refits_where_features_outnumber_texts_and_the_penalty_is_small():
    """There the fit passes through all targets, and what is left of each text is tiny."""
    rng = np.random.default_rng(0)
    labels = np.arange(30) % 2
    features = rng.normal(size=(30, 200)) + labels[:, None]
    centred = features - features.mean(0)
    targets = one_hot(labels)
    size, penalty, shares = 1e5, 0.5, np.full(30, 1 / 30)
    kernels = (centred @ centred.T)[None]
    error, _ = _loo_error(kernels, np.array([size]), targets - 0.5, penalty, shares)
    losses = []
    for i in range(30):
        rest = np.arange(30) != i
        model = Ridge(alpha=penalty / size).fit(features[rest], targets[rest])
        losses.append(np.square(targets[i] - model.predict(features[[i]])[0]).sum())
    assert error == pytest.approx(np.mean(losses), rel=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_the_weight_goes_to_the_source_that_knows_where_features_outnumber_texts(seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(60) % 2
    sources = [rng.normal(size=(60, 200)) / np.sqrt(200) for _ in range(3)]
    sources[1] += 0.03 * (2 * labels[:, None] - 1)
    weights = kernel_weights([source.astype(np.float32) for source in sources], labels)
    assert weights[1] > 0.6


def test_few_texts_hardly_move_it_from_equal_weights():
    sources, labels = sources_of(8, informative=())
    weights = kernel_weights(sources, labels)
    assert np.abs(weights - 1 / 3).max() < 0.25


def test_equal_sources_weigh_the_same_in_any_order():
    sources, labels = sources_of(80, informative=(0,))
    twice = kernel_weights([sources[0], sources[0]], labels)
    np.testing.assert_allclose(twice, 0.5, atol=1e-4)
    order = [2, 0, 1]
    weights = kernel_weights(sources, labels)
    moved = kernel_weights([sources[i] for i in order], labels)
    np.testing.assert_allclose(moved, weights[order], atol=1e-2)


def test_one_source_and_sources_that_do_not_vary_weigh_the_same():
    sources, labels = sources_of(20)
    np.testing.assert_array_equal(kernel_weights(sources[:1], labels), [1])
    flat = [np.ones_like(source) for source in sources]
    np.testing.assert_allclose(kernel_weights(flat, labels), 1 / 3)


def test_one_text_of_each_group_and_class_is_looked_at():
    """If copies were left out singly, they would predict each other, and noise would win."""
    sources, labels = sources_of(40, widths=(4, 9))
    owners = np.repeat([0, 1], [4, 9])
    fused, groups = np.hstack(sources), np.tile(np.arange(40), 2)
    once = module.kernel_weights(fused, owners, Supervision.of(labels))
    twice = Supervision(np.tile(labels, 2), np.ones(80), groups=groups)
    np.testing.assert_array_equal(
        module.kernel_weights(np.tile(fused, (2, 1)), owners, twice), once
    )
