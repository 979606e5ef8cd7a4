"""Probes, stacking and experts: calibration, held-out outputs and the best pool."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from threadpoolctl import threadpool_limits

from layerfuse.core.calibrate import fit_pool_weights, fit_temperature
from layerfuse.core.layers import LayerRef
from layerfuse.core.ridge import one_hot, ridge_path
from layerfuse.core.supervision import Supervision
from layerfuse.fuse import Experts, Stacking
from layerfuse.fuse.experts import mixture
from layerfuse.fuse.probes import Probes, centred
from layerfuse.train import fit_head

REFS = tuple(LayerRef(name, layer, "mean") for layer in (1, 2) for name in ("a", "b"))
PARTS = np.array([0, 1, 0, 1])


def problem(n_texts=300, n_classes=3, seed=0, strengths=(1.0, 2.0)):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n_texts) % n_classes)
    blocks = [rng.normal(size=(n_texts, w)).astype(np.float32) for w in (8, 20, 8, 20)]
    for block, strength in zip(blocks, strengths, strict=False):
        block[np.arange(n_texts), labels] += strength
    return blocks, labels


def log_loss(logits, labels):
    return -log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_probe_is_the_calibrated_ridge_regression_of_its_source(n_classes):
    blocks, labels = problem(n_classes=n_classes)
    others, _ = problem(50, n_classes, seed=1)
    probes, held_out = Probes.fit(blocks, PARTS, Supervision.of(labels))
    for part in (0, 1):
        own = [block for block, p in zip(blocks, PARTS, strict=True) if p == part]
        new = [block for block, p in zip(others, PARTS, strict=True) if p == part]
        standard = [(b - b.mean(0)) / b.std(0) / np.sqrt(b.shape[1]) for b in own]
        fused = np.hstack([(n - b.mean(0)) / b.std(0) for n, b in zip(new, own, strict=True)])
        fused = (fused / np.sqrt(own[0].shape[1])).astype(np.float32)
        path, targets = ridge_path(np.hstack(standard)), one_hot(labels)
        penalty, _ = path.best(targets)
        decisions = path.held_out(targets, penalty)
        temperature = fit_temperature(decisions, Supervision.of(labels, weights=path.weights))
        want = log_softmax(temperature * decisions, axis=1)
        np.testing.assert_allclose(held_out[:, part], want, atol=2e-3)
        found = probes.log_probabilities(others)[:, part]
        decisions = targets.mean(0) + fused @ path.coefficients(targets, penalty)
        np.testing.assert_allclose(found, log_softmax(temperature * decisions, 1), atol=2e-3)


def test_held_out_probabilities_foretell_those_of_new_texts():
    blocks, labels = problem(600)
    probes, held_out = Probes.fit(blocks, PARTS, Supervision.of(labels))
    others, truth = problem(2000, seed=1)
    for part in (0, 1):
        found = log_loss(probes.log_probabilities(others)[:, part], truth)
        assert log_loss(held_out[:, part], labels) == pytest.approx(found, abs=0.1)


def test_probes_side_by_side_are_those_fitted_one_after_the_other():
    blocks, labels = problem()
    fitted = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads, user_api="blas"):
            fitted.append(Probes.fit(blocks, PARTS, Supervision.of(labels)))
    (one, one_said), (two, two_said) = fitted
    np.testing.assert_allclose(two.coefficients, one.coefficients, atol=1e-4)
    np.testing.assert_allclose(two_said, one_said, atol=1e-4)


def test_stacking_is_the_best_pool_of_held_out_probes():
    blocks, labels = problem()
    fusion, vectors = Stacking.fit_fuse(blocks, REFS, Supervision.of(labels))
    _, held_out = Probes.fit(blocks, PARTS, Supervision.of(labels))
    members = [held_out[:, part].astype(float) for part in (0, 1)]
    np.testing.assert_allclose(
        fusion.exponents, fit_pool_weights(members, Supervision.of(labels)), atol=1e-4
    )
    best = min(log_loss(member, labels) for member in members)
    assert log_loss(vectors, labels) < best
    others, truth = problem(2000, seed=1)
    assert log_loss(fusion.fuse(others), truth) == pytest.approx(log_loss(vectors, labels), abs=0.1)
    plain = sum(
        exponent * probe
        for exponent, probe in zip(
            fusion.exponents,
            fusion.probes.log_probabilities(others).transpose(1, 0, 2),
            strict=True,
        )
    )
    np.testing.assert_allclose(softmax(fusion.fuse(others), 1), softmax(plain, 1), atol=1e-5)
    np.testing.assert_allclose(fusion.fuse(others).sum(1), 0, atol=1e-4)


def test_sources_that_do_not_help_have_equal_shares():
    blocks, labels = problem(strengths=())
    fusion, vectors = Stacking.fit_fuse(blocks, REFS, Supervision.of(labels))
    assert fusion.exponents.max() > 0
    assert vectors.any()
    assert log_loss(fusion.fuse(problem(500, seed=1)[0]), problem(500, seed=1)[1]) < 1.2


@pytest.mark.parametrize("kind", [Stacking, Experts])
def test_labels_without_meaning_cannot_be_read_off_what_is_held_out(kind):
    """A wrong leave-one-out intercept leaks labels: all 200 were correct in three draws of 4."""
    right = []
    for seed in range(4):
        blocks, labels = problem(200, 2, seed, strengths=())
        _, vectors = kind.fit_fuse(blocks, REFS, Supervision.of(labels))
        _, candidates = fit_head(vectors, Supervision.of(labels))
        right += [candidate.accuracy for candidate in candidates]
    assert max(right) < 0.7
    assert np.mean(right) == pytest.approx(0.5, abs=0.06)


def test_a_mixture_is_that_of_a_slow_sum():
    rng = np.random.default_rng(0)
    weights, said = rng.dirichlet(np.ones(3), 4), rng.dirichlet(np.ones(2), (4, 3))
    for t in range(4):
        want = np.log(sum(weights[t, s] * said[t, s] for s in range(3)))
        np.testing.assert_allclose(mixture(np, weights, [said])[t], want, atol=1e-9)


def test_experts_mix_what_probes_say_by_their_gates():
    blocks, labels = problem()
    fusion, vectors = Experts.fit_fuse(blocks, REFS, Supervision.of(labels))
    others, truth = problem(1000, seed=1)
    chances = np.exp(fusion.probes.log_probabilities(others))
    want = np.log((fusion.gates(others)[:, :, None] * chances).sum(1))
    np.testing.assert_allclose(fusion.fuse(others), centred(want), atol=1e-5)
    assert log_loss(fusion.fuse(others), truth) == pytest.approx(log_loss(vectors, labels), abs=0.1)
