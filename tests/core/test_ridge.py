"""Ridge against refits that leave out one text at a time, and against scikit-learn.

The convention for weights, pinned here: they are scaled once to sum to the number of texts. Leaving
out a text removes its term from the weighted sum of squares; the other weights, the penalty and
the free intercept stay as they are.
"""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from layerfuse.core.errors import FeatureError, LabelError
from layerfuse.core.ridge import N_PENALTIES, one_hot, ridge_path

SHAPES = {"tall": (30, 5), "wide": (12, 40), "square": (10, 10)}


def problem(n_texts, width, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n_texts, width)) * rng.uniform(0.2, 3, size=width) + 2
    labels = np.arange(n_texts) % n_classes
    weights = rng.uniform(0.2, 4, size=n_texts)
    return features, one_hot(labels), weights


def plain_ridge(features, targets, weights, penalty):
    """Solve the augmented normal equations, with a column of ones that is not penalised."""
    augmented = np.column_stack([np.ones(len(features)), features])
    penalties = np.diag([0.0] + [penalty] * features.shape[1])
    left = augmented.T @ (weights[:, None] * augmented) + penalties
    return np.linalg.solve(left, augmented.T @ (weights[:, None] * targets))


def plain_loo_errors(features, targets, weights, penalty):
    errors = []
    for i in range(len(features)):
        rest = np.arange(len(features)) != i
        solution = plain_ridge(features[rest], targets[rest], weights[rest], penalty)
        errors.append(targets[i] - solution[0] - features[i] @ solution[1:])
    return np.array(errors)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_loo_errors_are_those_of_refits(shape, weighted):
    features, targets, weights = problem(*SHAPES[shape])
    path = ridge_path(features, weights=weights if weighted else None)
    used = weights * len(weights) / weights.sum() if weighted else np.ones(len(weights))
    np.testing.assert_allclose(path.weights, used)
    for penalty in path.penalties:
        want = plain_loo_errors(features, targets, used, penalty)
        np.testing.assert_allclose(path.loo_errors(targets, penalty), want, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_held_out_decisions_are_those_of_refits_but_for_the_intercept(shape, grouped):
    features, targets, weights = problem(*SHAPES[shape])
    path = ridge_path(features, weights=weights)
    groups = np.arange(len(features)) // (2 if grouped else 1)
    centred = features - path.weights @ features / len(features)
    for penalty in path.penalties[::4]:
        found = path.held_out(targets, penalty, groups if grouped else None)
        for group in set(groups.tolist()):
            out, rest = groups == group, groups != group
            slopes = plain_ridge(features[rest], targets[rest], path.weights[rest], penalty)[1:]
            want = path.mean_target(targets) + centred[out] @ slopes
            np.testing.assert_allclose(found[out], want, rtol=1e-6, atol=1e-7)


def check_refits(path, features, targets, groups, penalty):
    """Compare the errors of each group with those of a fit without it."""
    errors = path.loo_errors(targets, penalty, groups)
    for group in set(groups.tolist()):
        out, rest = groups == group, groups != group
        solution = plain_ridge(features[rest], targets[rest], path.weights[rest], penalty)
        want = targets[out] - solution[0] - features[out] @ solution[1:]
        np.testing.assert_allclose(errors[out], want, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_loo_errors_of_groups_are_those_of_refits_without_the_group(shape, weighted):
    features, targets, weights = problem(*SHAPES[shape])
    groups = np.arange(len(features)) % 4
    path = ridge_path(features, weights=weights if weighted else None)
    losses = []
    for penalty in path.penalties:
        errors = path.loo_errors(targets, penalty, groups)
        check_refits(path, features, targets, groups, penalty)
        losses.append(np.square(errors).sum(1))
    penalty, got = path.best(targets, groups)
    best = int(np.argmin(np.array(losses) @ path.weights))
    assert penalty == path.penalties[best]
    np.testing.assert_allclose(got, losses[best])


def test_groups_of_one_text_are_none():
    features, targets, weights = problem(30, 5)
    path = ridge_path(features, weights=weights)
    alone, grouped = (path.loo_errors(targets, 1.0, one) for one in (None, np.arange(30)))
    np.testing.assert_array_equal(grouped, alone)


def test_a_group_larger_than_what_is_held_at_once(monkeypatch):
    """Groups are then processed one by one, and fitted values in batches of rows."""
    features, targets, _ = problem(60, 7)
    groups = np.arange(60) // 20
    path = ridge_path(features)
    want = path.best(targets, groups)
    monkeypatch.setattr("layerfuse.core.leave_out._CELLS", 150)
    got = path.best(targets, groups)
    assert got[0] == want[0]
    np.testing.assert_allclose(got[1], want[1])


@pytest.mark.parametrize("width", [2, 90])
def test_groups_of_any_sizes_are_those_of_refits(width):
    """Groups of fewer and of more texts than components; some sizes occur several times."""
    features, targets, weights = problem(60, width)
    groups = np.repeat(np.arange(27), [2] * 12 + [3, 5, 11, 7, *[1] * 10, 0])
    path = ridge_path(features, weights=weights)
    check_refits(path, features, targets, groups, path.penalties[5])


def test_a_group_whose_texts_are_alone_in_their_directions_stays_in():
    """Its errors are rounding divided by rounding; the limit of 1e-6 keeps them small."""
    groups = np.where(np.arange(20) == 5, 4, np.arange(20))
    targets = one_hot(np.arange(20) % 2)
    for seed in range(20):
        own = np.zeros((20, 2))
        own[4, 0] = own[5, 1] = 1
        features = np.hstack([np.random.default_rng(seed).normal(size=(20, 3)), own])
        path = ridge_path(features.astype(np.float32), penalties=np.array([1e-12]))
        assert np.abs(path.loo_errors(targets, path.penalties[0], groups)[4:6]).max() < 3


def test_scale_of_the_weights_does_not_matter():
    features, targets, weights = problem(30, 5)
    one, ten = ridge_path(features, weights=weights), ridge_path(features, weights=10 * weights)
    np.testing.assert_allclose(one.penalties, ten.penalties)
    np.testing.assert_allclose(
        one.loo_errors(targets, one.penalties[4]), ten.loo_errors(targets, ten.penalties[4])
    )


def test_equal_weights_are_no_weights():
    features, targets, _ = problem(30, 5)
    plain, equal = ridge_path(features), ridge_path(features, weights=np.full(30, 0.7))
    np.testing.assert_allclose(plain.best(targets)[1], equal.best(targets)[1])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_loo_errors_of_rank_deficient_features(shape, weighted):
    features, targets, weights = problem(*SHAPES[shape])
    features = np.column_stack([features[:, :3], features[:, :3] @ np.ones((3, 2)), features[:, 0]])
    used = weights * len(weights) / weights.sum() if weighted else np.ones(len(weights))
    path = ridge_path(features, weights=used)
    assert len(path.eigenvalues) == 3
    for penalty in path.penalties[[0, 6, 12]]:
        want = plain_loo_errors(features, targets, used, penalty)
        np.testing.assert_allclose(path.loo_errors(targets, penalty), want, rtol=1e-5, atol=1e-7)


def test_constant_features_are_dropped():
    features, targets, _ = problem(30, 5)
    padded = np.column_stack([features, np.full((30, 40), 3.0)])
    plain, wide = ridge_path(features), ridge_path(padded)
    np.testing.assert_allclose(plain.penalties, wide.penalties)
    np.testing.assert_allclose(plain.best(targets)[1], wide.best(targets)[1], atol=1e-9)


@pytest.mark.parametrize("width", [1, 50])
def test_only_constant_features_fit_the_mean_of_the_others(width):
    _, targets, _ = problem(30, 5)
    path = ridge_path(np.full((30, width), 0.25))
    mean_of_others = (targets.sum(0) - targets) / 29
    np.testing.assert_allclose(path.loo_errors(targets, 1.0), targets - mean_of_others, atol=1e-12)
    np.testing.assert_allclose(path.best(targets)[1], np.square(targets - mean_of_others).sum(1))


@pytest.mark.parametrize("shape", SHAPES)
def test_float32_agrees_with_float64_beside_one_huge_direction(shape):
    """Decoders have a direction a thousand times as strong as the others."""
    features, targets, _ = problem(*SHAPES[shape])
    features[:, 0] *= 300
    exact, rough = ridge_path(features), ridge_path(features.astype(np.float32))
    for penalty in exact.penalties[2:]:
        got = rough.loo_errors(targets, penalty)
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, exact.loo_errors(targets, penalty), atol=5e-3)


def test_best_is_the_lowest_weighted_brier_score_of_the_grid():
    features, targets, _ = problem(60, 5)
    features[:40, 0] += 6 * targets[:40, 1]  # the last 20 texts are noise, to be shrunk to the mean
    chosen = []
    for weights in (None, np.repeat([1.0, 0.02], [40, 20]), np.repeat([0.02, 1.0], [40, 20])):
        path = ridge_path(features, weights=weights)
        losses = [
            np.square(plain_loo_errors(features, targets, path.weights, penalty)).sum(1)
            for penalty in path.penalties
        ]
        best = int(np.argmin([np.average(loss, weights=path.weights) for loss in losses]))
        penalty, got = path.best(targets)
        assert penalty == path.penalties[best]
        np.testing.assert_allclose(got, losses[best], rtol=1e-6)
        chosen.append((best, int(np.argmin([loss.mean() for loss in losses]))))
    assert all(0 <= best < N_PENALTIES - 1 for best, _ in chosen[:2])
    assert any(weighted != unweighted for weighted, unweighted in chosen)


def test_grid_follows_the_scale_of_the_features():
    features, targets, _ = problem(30, 5)
    small, large = ridge_path(features), ridge_path(1000 * features)
    np.testing.assert_allclose(large.penalties, 1e6 * small.penalties)
    np.testing.assert_allclose(large.best(targets)[1], small.best(targets)[1])
    assert len(small.penalties) == N_PENALTIES
    np.testing.assert_allclose(small.penalties[6], small.eigenvalues.mean())


def test_own_penalties_are_in_units_of_the_mean_eigenvalue():
    features, _, _ = problem(30, 5)
    path = ridge_path(features, penalties=np.array([2.0]))
    variance = np.square(features - features.mean(0)).sum() / 5
    np.testing.assert_allclose(path.penalties, 2 * variance)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", ["tall", "square"])
def test_coefficients_are_those_of_scikit_learn(shape, weighted):
    features, targets, weights = problem(*SHAPES[shape])
    path = ridge_path(features, weights=weights if weighted else None)
    for penalty in path.penalties[::4]:
        theirs = Ridge(alpha=penalty).fit(features, targets, sample_weight=path.weights)
        ours = path.coefficients(targets, penalty)
        np.testing.assert_allclose(ours, theirs.coef_.T, rtol=1e-6, atol=1e-9)
        mean = path.weights @ features / len(features)
        intercept = path.mean_target(targets) - mean @ ours
        np.testing.assert_allclose(intercept, theirs.intercept_, rtol=1e-6, atol=1e-9)


def test_integer_weights_give_the_coefficients_of_repeated_texts():
    features, targets, _ = problem(30, 5)
    times = np.arange(30) % 4 + 1
    weighted = ridge_path(features, weights=times.astype(float))
    repeated = ridge_path(np.repeat(features, times, axis=0))
    for i in range(N_PENALTIES):
        np.testing.assert_allclose(
            weighted.coefficients(targets, weighted.penalties[i]),
            repeated.coefficients(np.repeat(targets, times, axis=0), repeated.penalties[i]),
            rtol=1e-8,
        )


def test_coefficients_of_more_features_than_texts_are_refused():
    features, targets, _ = problem(12, 40)
    with pytest.raises(FeatureError, match="no more features than texts"):
        ridge_path(features).coefficients(targets, 1.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", SHAPES)
def test_features_that_are_not_finite_are_refused(shape, bad):
    features, _, _ = problem(*SHAPES[shape])
    features[3, 2] = bad
    with pytest.raises(FeatureError, match="NaN or infinity"):
        ridge_path(features)


def test_one_hot():
    np.testing.assert_array_equal(
        one_hot(np.array([2, 0, 1, 2])), [[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    )


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1], [5]])
def test_one_hot_refuses_one_class(labels):
    with pytest.raises(LabelError, match="at least two classes"):
        one_hot(np.array(labels))
