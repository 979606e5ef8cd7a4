"""The MLP head: learns what no linear head can, with a held-out loss that holds for new texts."""

import numpy as np
import pytest
import torch

from layerfuse.core.supervision import Supervision
from layerfuse.learn import Schedule
from layerfuse.train import MLPHead, PooledHead, fit_head, fit_words, join_words
from layerfuse.train.mlp import forward


def circles(n_texts=400, seed=0, width=6):
    """Return vectors whose class depends on their length in two dimensions: not linear."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n_texts) % 2)
    vectors = rng.normal(size=(n_texts, width)) * 0.3
    angles = rng.uniform(0, 2 * np.pi, n_texts)
    vectors[:, 0] += (1 + 2 * labels) * np.cos(angles)
    vectors[:, 1] += (1 + 2 * labels) * np.sin(angles)
    return (vectors + 5).astype(np.float32), labels


@pytest.fixture(scope="module")
def fitted():
    """Fit once for several tests."""
    vectors, labels = circles()
    return fit_head(vectors, Supervision.of(labels), head="mlp")


@pytest.fixture
def hasty(monkeypatch):
    """Learn for a few epochs only, for tests that need no good fit."""
    monkeypatch.setattr("layerfuse.train.mlp._SCHEDULE", Schedule(max_epochs=4))


def log_loss(head, vectors, labels):
    return -head.log_probabilities(vectors)[np.arange(len(labels)), labels].mean()


def test_it_learns_what_is_not_linear_and_foretells_its_quality(fitted):
    vectors, labels = circles()
    head, (candidate,) = fitted
    linear, _ = fit_head(vectors, Supervision.of(labels), head="logistic")
    others, truth = circles(1000, seed=1)
    assert head.kind == candidate.kind == "mlp"
    assert log_loss(linear, others, truth) > 0.6
    assert log_loss(head, others, truth) < 0.15
    assert candidate.log_loss == pytest.approx(log_loss(head, others, truth), abs=0.08)
    assert candidate.held_out.shape == (400, 2)
    np.testing.assert_allclose(head.probabilities(others).sum(1), 1)


def test_nothing_leaks_into_held_out_quality():
    vectors, labels = circles(300)
    shuffled = np.random.default_rng(1).permutation(labels)
    _, (candidate,) = fit_head(vectors, Supervision.of(shuffled), head="mlp")
    assert candidate.accuracy < 0.6
    assert candidate.log_loss > np.log(2) - 0.01


def test_numpy_predicts_what_torch_does(fitted):
    vectors, head = circles()[0], fitted[0]
    parameters = {k: torch.from_numpy(v) for k, v in head.arrays().items() if k != "temperature"}
    expected = forward(torch, parameters, [torch.from_numpy(vectors)], None)
    np.testing.assert_allclose(head.decisions(vectors), expected.numpy(), atol=1e-5)


def test_the_same_again_gives_the_same_bits_another_random_state_does_not(hasty):
    vectors, labels = circles(200)
    one, two, other = (
        fit_head(vectors, Supervision.of(labels, state), head="mlp")[0] for state in (0, 0, 1)
    )
    assert all(map(np.array_equal, one.arrays().values(), two.arrays().values()))
    assert not np.array_equal(one.hidden, other.hidden)


def test_weights_lift_a_class():
    vectors, labels = circles(300)
    vectors[:, :2] = np.random.default_rng(0).normal(size=(300, 2))  # nothing to learn
    shares = []
    for weight in (1, 20):
        known = Supervision.of(labels, weights=np.where(labels == 1, weight, 1.0))
        head, _ = fit_head(vectors, known, head="mlp")
        shares.append((head.decisions(vectors).argmax(1) == 1).mean())
    assert shares[1] > 0.95 > shares[0]


def test_classes_of_two_texts_are_learned(hasty):
    vectors, labels = circles(40)
    labels = np.append(labels, [2, 2])
    vectors = np.concatenate([vectors, np.full((2, 6), 30, dtype=np.float32)])
    head, (candidate,) = fit_head(vectors, Supervision.of(labels), head="mlp")
    assert np.isfinite(candidate.log_loss)
    assert head.decisions(vectors).shape == (42, 3)


def test_arrays_are_the_whole_state_alone_and_pooled(hasty):
    vectors, labels = circles(100)
    texts = [("good one", "bad one")[label] for label in labels]
    known = Supervision.of(labels)
    words = fit_words(texts, known, lexical=True)
    head, _ = join_words(*fit_head(vectors, known, head="mlp"), known, words)
    again = PooledHead.from_arrays(head.kind, {k: v.copy() for k, v in head.arrays().items()})
    assert isinstance(again.head, MLPHead)
    np.testing.assert_array_equal(
        again.probabilities(vectors, texts), head.probabilities(vectors, texts)
    )
