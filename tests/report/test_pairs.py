"""Complementary backbones and mistakes, against plain definitions."""

import numpy as np
import pytest

from layerfuse.core.layers import LayerEmbeddings, LayerRef
from layerfuse.report.mistakes import mistakes_among
from layerfuse.report.pairs import linear_cka, source_pairs


def random_features(seed, n_features=7):
    return np.random.default_rng(seed).normal(size=(50, n_features)).astype(np.float32)


def test_cka_equals_the_unbiased_estimate_from_kernels():
    shared = random_features(2)
    one, other = random_features(0) + shared, np.hstack([random_features(1), shared])
    centre = np.eye(50) - 1 / 50
    kernels = [centre @ x @ x.T @ centre for x in (one, other)]
    for kernel in kernels:
        np.fill_diagonal(kernel, 0)

    def hsic(k, m):  # Song et al. 2012, equation 5, written out
        ones = np.ones(50)
        both = (ones @ k @ ones) * (ones @ m @ ones) / (49 * 48)
        return np.trace(k @ m) + both - 2 / 48 * ones @ k @ m @ ones

    expected = hsic(*kernels) / np.sqrt(np.prod([hsic(k, k) for k in kernels]))
    assert 0.2 < linear_cka(one, other) == pytest.approx(expected, rel=1e-5)


def test_cka_of_wide_noise_on_few_texts_is_close_to_zero():
    rng = np.random.default_rng(0)
    found = [linear_cka(rng.normal(size=(20, 384)), rng.normal(size=(20, 768))) for _ in range(5)]
    assert max(found) < 0.15
    assert linear_cka(np.eye(3), np.eye(3)) == 0


def test_cka_is_invariant_to_rotations_shifts_and_scales():
    one = random_features(0)
    turn = np.linalg.qr(random_features(2)[:7])[0]
    assert linear_cka(one, 3 * one @ turn + 5) == pytest.approx(1, abs=1e-5)
    assert linear_cka(one, np.ones_like(one)) == 0


def test_source_pairs_report_disagreement_and_oracle_accuracy():
    refs = [LayerRef(name, 1, "mean") for name in ("a", "b")]
    blocks = [LayerEmbeddings(random_features(i)[None, :4], (ref,)) for i, ref in enumerate(refs)]
    truth = np.array([0, 0, 1, 1])
    predicted = {refs[0]: np.array([0, 1, 1, 0]), refs[1]: np.array([0, 0, 0, 0])}
    (pair,) = source_pairs(blocks, predicted, truth)
    assert (pair.first, pair.second) == ("a:1:mean", "b:1:mean")
    assert (pair.disagreement, pair.oracle) == (0.5, 0.75)
    assert 0 <= pair.cka <= 1


def test_mistakes_are_sorted_by_confidence_with_nearest_training_texts():
    features = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]], np.float32)
    tests = np.array([[0.9, 0.1], [0.1, -0.9], [0.2, 0.9]], np.float32)
    probabilities = np.array([[0.4, 0.6], [0.9, 0.1], [0.2, 0.8]])
    mistakes = mistakes_among(
        ["east", "west", "north", "south"],
        features,
        np.array([0, 0, 1, 1]),
        ["nearly east", "nearly south", "nearly north"],
        tests,
        np.array([0, 1, 1]),
        probabilities,
        ["flat", "steep"],
    )
    assert [m.text for m in mistakes] == ["nearly south", "nearly east"]
    assert [(m.truth, m.predicted) for m in mistakes] == [("steep", "flat"), ("flat", "steep")]
    assert [m.neighbours[0].text for m in mistakes] == ["south", "east"]
    assert mistakes[0].neighbours[0].similarity == pytest.approx(0.9 / np.hypot(0.9, 0.1))
