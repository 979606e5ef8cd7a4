"""Temperature, held-out log loss, and gains in units of their error."""

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import ttest_1samp
from sklearn.metrics import log_loss

from layerfuse.core.calibrate import (
    fit_pool_weights,
    fit_temperature,
    gain_in_errors,
    held_out_log_loss,
    pool_gain_in_errors,
)
from layerfuse.core.folds import held_out_weights
from layerfuse.core.supervision import Supervision


def simulated(temperature, n_classes=3, spread=2.0, n_texts=20_000):
    """Decisions, and labels drawn from the softmax of ``temperature`` times them."""
    rng = np.random.default_rng(0)
    decisions = rng.normal(size=(n_texts, n_classes)) * spread
    chances = softmax(temperature * decisions, axis=1)
    labels = (rng.uniform(size=(n_texts, 1)) > np.cumsum(chances, axis=1)).sum(1)
    return decisions, np.minimum(labels, n_classes - 1)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("n_classes", [2, 5])
def test_fit_temperature_recovers_the_true_one(temperature, n_classes):
    decisions, labels = simulated(temperature, n_classes)
    found = fit_temperature(decisions, Supervision.of(labels))
    assert found == pytest.approx(temperature, rel=0.06)


@pytest.mark.parametrize("unit", [1e-3, 1e3])
def test_fit_temperature_follows_the_unit_of_the_decisions(unit):
    decisions, labels = simulated(1.0)
    known = Supervision.of(labels)
    found = fit_temperature(unit * decisions, known)
    assert found * unit == pytest.approx(fit_temperature(decisions, known), rel=1e-3)


def test_fit_temperature_is_low_where_decisions_say_nothing():
    decisions, labels = simulated(1.0)
    shuffled = np.random.default_rng(1).permutation(labels)
    found = fit_temperature(decisions, Supervision.of(shuffled))
    assert 0 < found < 0.05
    assert held_out_log_loss(found * decisions, shuffled) == pytest.approx(np.log(3), abs=0.01)


def test_fit_temperature_of_decisions_that_are_all_zero_is_finite():
    assert np.isfinite(fit_temperature(np.zeros((4, 2)), Supervision.of(np.array([0, 1, 0, 1]))))


def test_no_factor_runs_away_where_no_held_out_text_is_wrong():
    labels = np.arange(200) % 2
    sure = np.where(np.eye(2)[labels] == 1, 10.0, -10.0)
    # Of 201 texts one is of no class: half of it is wrong, so that the odds are 401 to 1.
    assert fit_temperature(sure, Supervision.of(labels)) * 20 == pytest.approx(
        np.log(401), rel=0.01
    )


def test_held_out_log_loss_is_that_of_scikit_learn():
    decisions, labels = simulated(1.0)
    want = log_loss(labels, softmax(decisions, axis=1))
    assert held_out_log_loss(decisions, labels) == pytest.approx(want)


def test_gain_in_errors_is_the_statistic_of_a_paired_t_test():
    gains = np.random.default_rng(0).normal(0.1, 1, 50)
    got = gain_in_errors(gains, np.ones(50))
    assert got * np.sqrt(49 / 50) == pytest.approx(ttest_1samp(gains, 0).statistic)


def test_gain_in_errors_follows_the_weights():
    gains = np.array([1.0, 2.0, -5.0])
    assert gain_in_errors(gains, np.ones(3)) < 0
    assert gain_in_errors(gains, np.array([1.0, 1.0, 1e-9])) == pytest.approx(1.5 / np.sqrt(0.125))


def test_copies_make_no_gain_surer():
    gains, weights = np.random.default_rng(0).normal(0.1, 1, (2, 50))
    weights = np.exp(weights)
    copied, own = np.tile(gains, 4), np.tile(np.arange(50), 4)
    once = gain_in_errors(gains, weights)
    assert gain_in_errors(copied, np.tile(weights, 4), own) == pytest.approx(once)
    assert gain_in_errors(copied, np.tile(weights, 4)) == pytest.approx(2 * once)
    assert gain_in_errors(gains, weights, np.arange(50)) == once


def test_copies_make_no_pool_and_no_temperature_surer():
    rng = np.random.default_rng(0)
    labels = np.arange(30) % 2
    logits = rng.uniform(0.5, 3, size=(2, 30, 1)) * (2 * np.eye(2)[labels] - 1)
    members = [np.log(softmax(own, axis=1)) for own in logits]
    tiled = [np.tile(member, (3, 1)) for member in members]
    known = Supervision.of(labels)
    many = Supervision.of(np.tile(labels, 3), groups=np.tile(np.arange(30), 3))

    once = fit_pool_weights(members, known)
    np.testing.assert_allclose(fit_pool_weights(tiled, many), once, rtol=1e-3)
    assert fit_temperature(tiled[0], many) == pytest.approx(
        fit_temperature(members[0], known), rel=1e-3
    )
    gain = pool_gain_in_errors(members[0], members[1], known)
    assert pool_gain_in_errors(tiled[0], tiled[1], many) == pytest.approx(gain, rel=1e-2)


@pytest.mark.parametrize(("gain", "want"), [(0.0, 0.0), (0.5, np.inf), (-0.5, -np.inf)])
def test_gain_in_errors_of_texts_that_all_gain_the_same(gain, want):
    assert gain_in_errors(np.full(4, gain), np.ones(4)) == want


@pytest.mark.parametrize("n_texts", [4, 40])
def test_what_says_nothing_adds_nothing_to_a_pool(n_texts):
    """The gain is only the imprecision of two searches for the exponent of the other member."""
    labels = np.arange(n_texts) % 2
    known = Supervision.of(labels)
    nothing = np.full((n_texts, 2), np.log(0.5))
    for seed in range(30):
        rng = np.random.default_rng(seed)
        logits = rng.normal(size=(n_texts, 2)) + rng.uniform(0, 3) * np.eye(2)[labels]
        alone = np.log(softmax(logits, axis=1))
        exponents = fit_pool_weights([alone, nothing], known)
        pooled = np.log(softmax(exponents[0] * alone, axis=1))
        assert pool_gain_in_errors(alone, pooled, known) <= 1


def test_the_only_text_of_a_class_counts_nothing_among_held_out_texts():
    labels, weights = np.array([0, 2, 0, 1, 2]), np.array([1.0, 2, 3, 4, 5])
    np.testing.assert_array_equal(held_out_weights(labels), [1, 1, 1, 0, 1])
    np.testing.assert_array_equal(held_out_weights(labels, weights), [1, 2, 3, 0, 5])
    np.testing.assert_array_equal(held_out_weights(np.arange(5), weights), weights)


def test_a_pool_is_as_sure_as_its_temperature_lets_it_be_where_no_text_is_wrong():
    """Without a limit, these exponents would grow until rounding ends the search."""
    rng = np.random.default_rng(0)
    labels = np.arange(30) % 2
    logits = rng.uniform(0.5, 3, size=(2, 30, 1)) * (2 * np.eye(2)[labels] - 1)
    members = [np.log(softmax(own, axis=1)) for own in logits]
    known = Supervision.of(labels)
    exponents = fit_pool_weights(members, known)
    pooled = sum(e * member for e, member in zip(exponents, members, strict=True))
    assert fit_temperature(pooled, known) == pytest.approx(1, rel=1e-3)
    assert max(exponents) < 10


def test_members_that_are_always_wrong_count_alike():
    """No exponent above 0 lowers the loss, but the pool must still decide."""
    labels = np.arange(40) % 2
    wrong = np.log(np.where(np.eye(2)[labels] == 1, 0.3, 0.7))
    known = Supervision.of(labels)
    one, other = fit_pool_weights([wrong, wrong], known)
    assert one == other > 0
    assert 2 * one == pytest.approx(fit_temperature(wrong, known))
    # As it was left, at exponents of one half, it lost 1.20.
    assert held_out_log_loss(2 * one * wrong, labels) == pytest.approx(np.log(2), abs=0.01)
    np.testing.assert_array_equal(fit_pool_weights([wrong], known), [0.0])


def test_a_pool_gains_nothing_that_its_member_could_have_by_an_exponent():
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=300)
    logits = rng.normal(size=(300, 2)) + 1.5 * np.eye(2)[labels]
    sharp, calm = (np.log(softmax(factor * logits, axis=1)) for factor in (1.5, 0.2))
    assert log_loss(labels, np.exp(sharp)) < log_loss(labels, np.exp(calm)) - 0.1
    assert pool_gain_in_errors(calm, sharp, Supervision.of(labels)) < 0.5
    known = np.log(softmax(1.5 * logits + 2 * np.eye(2)[labels], axis=1))
    assert pool_gain_in_errors(calm, known, Supervision.of(labels)) > 5
