"""Intervals against closed forms, textbook values and exact or simulated coverage."""

import numpy as np
import pytest
from scipy.stats import binom, norm

from layerfuse.core.errors import ShapeError
from layerfuse.report import paired_gain, wilson_interval
from layerfuse.report.metrics import mcnemar_p


@pytest.mark.parametrize(
    ("n_right", "n_texts", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)],
)
def test_wilson_interval_equals_the_values_of_newcombe_1998(n_right, n_texts, low, high):
    interval = wilson_interval(n_right, n_texts)
    assert interval.value == n_right / n_texts
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize(("n_right", "n_texts"), [(0, 1), (1, 1), (3, 7), (90, 100), (9999, 10000)])
def test_ends_of_the_wilson_interval_solve_its_quadratic_equation(n_right, n_texts, confidence):
    """The ends are the shares p for which (observed - p)^2 = z^2 p (1 - p) / n."""
    share, z2 = n_right / n_texts, norm.ppf(0.5 + confidence / 2) ** 2
    roots = np.sort(np.roots([1 + z2 / n_texts, -2 * share - z2 / n_texts, share**2]))
    interval = wilson_interval(n_right, n_texts, confidence)
    np.testing.assert_allclose([interval.low, interval.high], roots, atol=1e-9)


def test_wilson_interval_lies_within_zero_and_one_and_contains_the_share():
    for n_texts in range(1, 300):
        for n_right in {0, 1, n_texts - 1, n_texts}:
            interval = wilson_interval(n_right, n_texts)
            assert 0 <= interval.low <= interval.value <= interval.high <= 1
        assert wilson_interval(0, n_texts).low == 0
        assert wilson_interval(n_texts, n_texts).high == 1


@pytest.mark.parametrize("n_texts", [50, 500])
def test_wilson_interval_has_its_nominal_coverage(n_texts):
    """Exactly, by the binomial distribution, in the mean over accuracies from 60 to 95 %."""
    counts = np.arange(n_texts + 1)
    intervals = [wilson_interval(k, n_texts) for k in counts.tolist()]
    low, high = (np.array([getattr(i, end) for i in intervals]) for end in ("low", "high"))
    coverages = [
        binom.pmf(counts, n_texts, truth)[(low <= truth) & (truth <= high)].sum()
        for truth in np.linspace(0.6, 0.95, 71)
    ]
    assert np.mean(coverages) == pytest.approx(0.95, abs=0.01)
    assert min(coverages) > 0.91


@pytest.mark.parametrize(("n_right", "n_texts"), [(-1, 5), (6, 5), (0, 0)])
def test_wilson_interval_refuses_impossible_counts(n_right, n_texts):
    with pytest.raises(ShapeError, match=f"got {n_right}, {n_texts}"):
        wilson_interval(n_right, n_texts)


def answers(n_texts, seed, both=0.75, gained=0.12, lost=0.06):
    """Whether each text is right, and was under the baseline."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(4, size=n_texts, p=[both, gained, lost, 1 - both - gained - lost])
    return kinds <= 1, (kinds == 0) | (kinds == 2)


@pytest.mark.parametrize(
    ("n_texts", "gained", "lost"),
    [(300, 0.12, 0.06), (1000, 0.03, 0.02), (2189, 0.006, 0.005)],
)
def test_paired_gain_has_its_nominal_coverage(n_texts, gained, lost):
    """Within 93 and 97 % of 2,000 simulations, whose own error is 0.5 %."""
    assert coverage(n_texts, gained, lost, 2000) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(
    ("n_texts", "gained", "lost"),
    [(20, 0.1, 0.05), (50, 0.06, 0.04), (100, 0.02, 0.01), (300, 0.03, 0.02)],
)
def test_paired_gain_of_few_disagreements_has_at_least_nominal_coverage(n_texts, gained, lost):
    assert coverage(n_texts, gained, lost, 1000) > 0.93


def coverage(n_texts, gained, lost, n_simulations):
    """Share of simulated pairs of classifiers whose interval has the true gain."""
    hits = 0
    for seed in range(n_simulations):
        interval = paired_gain(*answers(n_texts, seed, 0.7, gained, lost), random_state=seed)
        hits += interval.low - 1e-9 <= gained - lost <= interval.high + 1e-9
    return hits / n_simulations


@pytest.mark.parametrize(("better", "worse", "same"), [(1, 0, 0), (2, 0, 3), (4, 0, 16)])
def test_paired_gain_of_few_disagreements_contains_zero_as_mcnemar_does(better, worse, same):
    right = np.repeat([True, False, True], [better, worse, same])
    baseline = np.repeat([False, True, True], [better, worse, same])
    interval = paired_gain(right, baseline)
    assert mcnemar_p(right, baseline) > 0.05
    assert interval.low <= 0 < interval.value <= interval.high


def test_paired_gain_equals_a_bootstrap_over_texts():
    right, baseline = answers(200, 0)
    rng = np.random.default_rng(1)
    rows = rng.integers(0, 200, size=(4000, 200))
    gains = right[rows].mean(1) - baseline[rows].mean(1)
    interval = paired_gain(right, baseline, n_resamples=20_000)
    assert interval.value == pytest.approx(right.mean() - baseline.mean())
    low, high = np.quantile(gains, [0.025, 0.975])
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.006)


def test_paired_gain_is_narrower_if_the_classifiers_agree_more():
    near = paired_gain(*answers(500, 0, both=0.9, gained=0.03, lost=0.01))
    far = paired_gain(*answers(500, 0, both=0.5, gained=0.23, lost=0.21))
    assert near.high - near.low < (far.high - far.low) / 2


def test_paired_gain_changes_its_sign_if_the_classifiers_are_swapped():
    right, baseline = answers(300, 0)
    one, other = paired_gain(right, baseline), paired_gain(baseline, right)
    assert one.value == -other.value
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=0.01)


def test_paired_gain_over_itself_is_zero_with_an_interval_around_it():
    right, _ = answers(300, 0)
    interval = paired_gain(right, right)
    assert interval.value == 0
    assert -0.01 <= interval.low < 0 < interval.high <= 0.01


def test_paired_gain_widens_with_confidence_and_is_reproducible():
    pair = answers(300, 0)
    assert paired_gain(*pair) == paired_gain(*pair)
    assert paired_gain(*pair) != paired_gain(*pair, random_state=1)
    assert paired_gain(*pair, confidence=0.99).low < paired_gain(*pair, confidence=0.8).low


def test_paired_gain_refuses_unequal_numbers_of_texts():
    with pytest.raises(ShapeError, match=r"same texts, got \(3,\) and \(4,\)"):
        paired_gain(np.ones(3, dtype=bool), np.ones(4, dtype=bool))


def test_paired_gain_refuses_no_texts():
    with pytest.raises(ShapeError, match="at least one text"):
        paired_gain(np.ones(0, dtype=bool), np.ones(0, dtype=bool))
