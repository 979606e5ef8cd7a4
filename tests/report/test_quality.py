"""Qualities of predictions against scikit-learn, hand-made cases and their own definitions."""

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.metrics import accuracy_score, brier_score_loss, classification_report, log_loss

from layerfuse.report.metrics import brier_score, calibration_error, mcnemar_p, reliability
from layerfuse.report.quality import class_table, quality


@pytest.fixture
def predicted():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([0.7, 1, 2], 300)
    return probabilities, np.array([rng.choice(3, p=row) for row in probabilities])


def test_metrics_of_a_row_equal_those_of_scikit_learn(predicted):
    probabilities, truth = predicted
    row = quality("one", "result", probabilities, truth)
    best = probabilities.argmax(1)
    report = classification_report(truth, best, output_dict=True)
    assert row.accuracy == accuracy_score(truth, best)
    assert row.macro_f1 == pytest.approx(report["macro avg"]["f1-score"])
    assert row.log_loss == pytest.approx(log_loss(truth, probabilities))
    assert row.brier == pytest.approx(
        brier_score_loss(truth, probabilities, scale_by_half=False, labels=[0, 1, 2])
    )
    for i, one in enumerate(class_table(best, truth, ["a", "b", "c"])):
        expected = report[str(i)]
        got = (one.precision, one.recall, one.f1, one.n_texts)
        assert got == pytest.approx(tuple(expected.values()))


def test_macro_f1_leaves_out_classes_without_test_texts():
    probabilities = np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7]])
    row = quality("one", "result", probabilities, np.array([0, 1, 1]))
    assert row.macro_f1 == pytest.approx((1 + 2 / 3) / 2)


def test_calibration_error_of_true_probabilities_is_close_to_zero():
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet([1, 1], 40_000)
    truth = (rng.random(40_000) < probabilities[:, 1]).astype(int)
    assert calibration_error(reliability(probabilities, truth)) < 0.01
    sure = np.eye(2)[probabilities.argmax(1)]
    wrong = (probabilities.argmax(1) != truth).mean()
    assert calibration_error(reliability(sure, truth)) == pytest.approx(wrong)


def by_hand(probabilities, truth, n_bins):
    """Add up the expected calibration error bin by bin."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == truth
    error = 0.0
    for i in range(n_bins):
        below = confidence < (i + 1) / n_bins if i < n_bins - 1 else True
        own = (confidence >= i / n_bins) & below
        if own.any():
            error += own.mean() * abs(right[own].mean() - confidence[own].mean())
    return error


@pytest.mark.parametrize("side", ["underconfident", "mixed"])
def test_calibration_error_adds_over_and_underconfidence_of_15_bins(side):
    """Overconfident in every other of the 15 bins, underconfident in the rest."""
    rng = np.random.default_rng(2)
    confidence = rng.uniform(0.5, 0.9, 3000)
    off = np.where((15 * confidence).astype(int) % 2, -0.1, 0.1) if side == "mixed" else 0.1
    truth = (rng.random(3000) > confidence + off).astype(int)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    row = quality("one", "result", probabilities, truth)
    expected = by_hand(probabilities, truth, 15)
    assert expected > 0.08
    assert row.calibration_error == pytest.approx(expected)
    if side == "mixed":  # if all bins err to the same side, their number does not matter
        assert by_hand(probabilities, truth, 10) < expected - 0.02


def test_reliability_bins_contain_every_text_once_also_at_the_ends():
    probabilities = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    bins = reliability(probabilities, np.array([0, 0, 0]), n_bins=4)
    assert [one.n_texts for one in bins] == [1, 2]
    assert [one.accuracy for one in bins] == [1.0, 0.5]
    assert [one.confidence for one in bins] == [0.5, 1.0]


def test_brier_score_of_certain_predictions_is_two_if_wrong_and_zero_if_right():
    assert brier_score(np.eye(2), np.array([1, 0])) == 2
    assert brier_score(np.eye(2), np.array([0, 1])) == 0


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (5, 1), (1, 5), (40, 22), (0, 3)])
def test_mcnemar_p_equals_the_exact_binomial_test(better, worse):
    right = np.array([True] * better + [False] * worse + [True] * 7)
    other = np.array([False] * better + [True] * worse + [True] * 7)
    n = better + worse
    low = binom.cdf(min(better, worse), n, 0.5)
    assert mcnemar_p(right, other) == pytest.approx(min(1.0, 2 * low) if n else 1.0)


def test_log_loss_of_a_probability_of_zero_is_finite():
    row = quality("one", "result", np.eye(2), np.array([1, 1]))
    assert 10 < row.log_loss < 40
