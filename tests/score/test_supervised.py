"""Criteria that learn from labels, each against something independent of it."""

import functools
import itertools

import numpy as np
import pytest
import scipy.optimize
from scipy.spatial.distance import cdist
from scipy.special import log_softmax
from scipy.stats import multivariate_normal
from sklearn.covariance import ledoit_wolf
from sklearn.metrics import calinski_harabasz_score
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from layerfuse.core.errors import FeatureError, LabelError, ShapeError
from layerfuse.core.ridge import ridge_path
from layerfuse.core.sample import sample_texts
from layerfuse.core.standardize import Standardizer
from layerfuse.score.axes import project
from layerfuse.score.cka_label import cka_label
from layerfuse.score.fisher import fisher
from layerfuse.score.gbc import gbc
from layerfuse.score.hscore import hscore
from layerfuse.score.knn import N_NEIGHBOURS, knn
from layerfuse.score.logme import logme
from layerfuse.score.loo_ridge import loo_ridge
from layerfuse.score.mdl import mdl
from layerfuse.score.neighbours import nearest
from layerfuse.score.transrate import transrate


def problem(n_texts=60, width=5, n_classes=3, shift=1.5, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n_texts) % n_classes)
    features = rng.normal(size=(n_texts, width)) * rng.uniform(0.3, 3, size=width) + 0.7
    features[np.arange(n_texts), labels] += shift
    return features.astype(np.float32), labels


def standardised(features):
    return (features - features.mean(0)) / features.std(0)


@functools.cache
def right_vectors(n_texts, width):
    features = problem(n_texts, width)[0].astype(np.float64)
    return features, *np.linalg.svd(features, full_matrices=True)[1:]


def log_evidence(shape, column, alpha, beta):
    """Return log p(y | F, alpha, beta) as You et al. write it, from a full SVD."""
    n_texts, width = shape
    features, singular, right = right_vectors(*shape)
    squares = np.zeros(width)
    squares[: len(singular)] = singular**2
    weights = beta * right.T @ (right @ (features.T @ column) / (alpha + beta * squares))
    return 0.5 * (
        width * np.log(alpha)
        + n_texts * np.log(beta)
        - np.log(alpha + beta * squares).sum()
        - beta * np.square(features @ weights - column).sum()
        - alpha * np.square(weights).sum()
        - n_texts * np.log(2 * np.pi)
    )


@pytest.mark.parametrize(("n_texts", "width"), [(60, 5), (40, 40), (25, 60)])
def test_logme_equals_the_maximum_evidence_found_by_search(n_texts, width):
    features, labels = problem(n_texts, width)
    found = []
    for column in np.eye(3)[labels].T:

        def loss(logs, column=column):
            return -log_evidence((n_texts, width), column, *np.exp(logs)) / n_texts

        starts = [(0.0, 0.0), (4.0, 2.0), (-2.0, 4.0)]
        runs = [
            scipy.optimize.minimize(
                loss, start, method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12}
            )
            for start in starts
        ]
        found.append(-min(run.fun for run in runs))
    assert logme(features, labels) == pytest.approx(np.mean(found), abs=1e-6)


@pytest.mark.parametrize(("n_texts", "width"), [(60, 16), (60, 200)])
def test_logme_is_invariant_to_the_scale_of_the_features(n_texts, width):
    features, labels = problem(n_texts, width)
    plain = logme(features, labels)
    with np.errstate(all="raise"):
        for unit in (1e-7, 1e-3, 1e4, 1e8):
            assert logme(features * np.float32(unit), labels) == pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize("unit", [1e-4, 1.0, 1e4])
def test_logme_is_the_global_maximum_of_the_evidence(unit):
    """Texts share a large mean; one of the two maxima explains only the class counts."""
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    features = rng.normal(size=(200, 100)) + 100 * rng.normal(size=100)
    features[:, 0] += labels
    squares, vectors = np.linalg.eigh(features @ features.T)

    def log_densities(column):
        """Return the evidences of the Gaussian F F' / alpha + I / beta, for many alpha / beta."""
        projected = np.square(vectors.T @ column)
        for ratio in squares[-1] * 10.0 ** np.arange(-9, 9, 0.02):
            spread = np.maximum(squares, 0) / ratio + 1
            noise = (projected / spread).mean()
            yield -(np.log(2 * np.pi * noise) + np.log(spread).mean() + 1) / 2

    highest = np.mean([max(log_densities(column)) for column in np.eye(2)[labels].T])
    found = logme((unit * features).astype(np.float32), labels)
    assert found == pytest.approx(highest, abs=1e-4)


def test_the_reference_evidence_is_the_gaussian_density_of_the_labels():
    """The reference above, against the Gaussian it claims to be."""
    features = problem(12, 4)[0].astype(np.float64)
    column = np.arange(12) % 2.0
    covariance = features @ features.T / 0.7 + np.eye(12) / 2.5
    density = multivariate_normal(np.zeros(12), covariance).logpdf(column)
    assert log_evidence((12, 4), column, 0.7, 2.5) == pytest.approx(density)


def test_logme_is_the_mean_over_independent_classes():
    """The score is the mean over classes of separate problems with one column each."""
    features, labels = problem(shift=2.0)
    alone = []
    for label in range(3):
        two = logme(features, (labels == label).astype(int))
        rest = logme(features, (labels != label).astype(int))
        assert two == pytest.approx(rest)  # both average the same two columns
        alone.append(two)
    renamed = np.array([2, 0, 1])[labels]
    assert logme(features, renamed) == pytest.approx(logme(features, labels), abs=1e-12)


@pytest.mark.parametrize(("n_texts", "width"), [(60, 5), (20, 50), (400, 30)])
def test_hscore_equals_a_reference_with_the_shrinkage_of_scikit_learn(n_texts, width):
    features, labels = problem(n_texts, width)
    centred = features - features.mean(0, dtype=np.float64)
    shrunk, shrinkage = ledoit_wolf(centred, assume_centered=True)
    between = np.zeros((width, width))
    for label in range(3):
        own = centred[labels == label]
        between += len(own) / n_texts * np.outer(own.mean(0), own.mean(0))
    assert 0 < shrinkage < 1
    want = (1 - shrinkage) * np.trace(np.linalg.inv(shrunk) @ between)
    assert hscore(features, labels) == pytest.approx(want, rel=1e-6)


def test_fisher_agrees_with_the_calinski_harabasz_score():
    features, labels = problem()
    share = fisher(features, labels)
    ratio = share / (1 - share) * (60 - 3) / (3 - 1)
    assert ratio == pytest.approx(calinski_harabasz_score(standardised(features), labels), rel=1e-4)


def test_fisher_of_classes_without_spread_is_one():
    labels = np.arange(30) % 3
    assert fisher(np.eye(3)[labels], labels) == pytest.approx(1.0)


def test_knn_equals_leave_one_out_of_scikit_learn():
    """Two classes and an odd number of votes: no ties."""
    features, labels = problem(61, 4, n_classes=2, shift=1.0)
    model = KNeighborsClassifier(N_NEIGHBOURS)
    right = cross_val_predict(model, standardised(features), labels, cv=LeaveOneOut()) == labels
    assert 0.5 < right.mean() < 0.95
    np.testing.assert_array_equal(knn(features, labels), right)


def test_knn_breaks_ties_by_the_nearest_text():
    # Neighbours of the first text, nearest first: 1, 2, 2, 1, 0; two votes each for 1 and 2.
    features = np.array([[0.0], [1.0], [2.1], [3.3], [4.6], [6.0]])
    assert knn(features, np.array([1, 1, 2, 2, 1, 0]))[0] == 1
    assert knn(features, np.array([2, 1, 2, 2, 1, 0]))[0] == 0


def test_nearest_texts_equal_those_of_all_distances(monkeypatch):
    features, _ = problem(70, 6)
    distances = cdist(features, features)
    np.fill_diagonal(distances, np.inf)
    monkeypatch.setattr("layerfuse.score.neighbours._CELLS", 700)  # ten texts at a time
    found = nearest(features, 4)
    np.testing.assert_array_equal(found.texts, np.argsort(distances, axis=1)[:, :4])
    np.testing.assert_allclose(found.distances, np.sort(distances, axis=1)[:, :4], rtol=1e-5)


def test_distances_between_nearly_equal_texts_are_accurate():
    features = np.array([[100.0, 100.0], [100.0, 100.001], [300.0, 0.0]], dtype=np.float32)
    gap = float(features[1, 1] - features[0, 1])
    assert nearest(features, 1).distances[0, 0] == pytest.approx(gap, rel=1e-6)


@pytest.mark.parametrize(("n_texts", "width"), [(60, 5), (20, 50)])
def test_transrate_equals_the_determinants_of_its_definition(n_texts, width):
    features, labels = problem(n_texts, width)
    standard = standardised(features.astype(np.float64))

    def rate(part):
        centred = part - part.mean(0)
        covariance = centred.T @ centred / len(part)
        return np.linalg.slogdet(np.eye(width) + covariance / 0.5)[1] / 2

    want = rate(standard) - sum(
        (labels == c).mean() * rate(standard[labels == c]) for c in range(3)
    )
    assert transrate(features, labels) == pytest.approx(want, rel=1e-4)


def test_transrate_separates_two_classes_of_opposite_means():
    labels = np.arange(40) % 2
    noise = np.random.default_rng(0).normal(size=(40, 1))
    assert transrate(10.0 * labels[:, None] + noise, labels) > 0.4


def test_gbc_equals_the_bhattacharyya_integral_of_gaussians():
    """Bhattacharyya's integral of sqrt(p q), by quadrature along each axis of the projection."""
    features, labels = problem(200, 3, n_classes=2, shift=2.0)
    axes = project(features, 64).astype(np.float64)
    grid = np.linspace(-8, 8, 20001)
    coefficient = 1.0
    for column in axes.T:
        densities = [
            np.exp(-np.square(grid - own.mean()) / (2 * own.var())) / np.sqrt(2 * np.pi * own.var())
            for own in (column[labels == 0], column[labels == 1])
        ]
        coefficient *= np.trapezoid(np.sqrt(densities[0] * densities[1]), grid)
    assert 0.05 < coefficient < 0.95
    assert gbc(features, labels) == pytest.approx(-2 * coefficient, rel=1e-4)


@pytest.mark.parametrize("seed", [0, 2, 4])
def test_gbc_of_three_distinct_points_ignores_axes_of_rounding_noise(seed):
    """At first layers, the last token of questions has so few values; copies add nothing."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(3, 100)).astype(np.float32)
    features, labels = points[rng.integers(0, 3, 600)], rng.integers(0, 6, 600)
    once, often = gbc(features, labels), gbc(np.tile(features, (1, 8)), labels)
    assert often == pytest.approx(once, rel=1e-5)


def test_gbc_of_identical_classes_is_minus_the_number_of_ordered_pairs():
    half = np.random.default_rng(0).normal(size=(20, 4))
    assert gbc(np.tile(half, (3, 1)), np.repeat([0, 1, 2], 20)) == pytest.approx(-6, abs=1e-4)


def plain_hsic(one, other):
    """Estimate HSIC without bias from two (text, text) kernels, as Song et al. 2012 write it."""
    n = len(one)
    one, other = one - np.diag(np.diag(one)), other - np.diag(np.diag(other))
    ones = np.ones(n)
    return (
        np.trace(one @ other)
        + (ones @ one @ ones) * (ones @ other @ ones) / ((n - 1) * (n - 2))
        - 2 / (n - 2) * (ones @ one @ other @ ones)
    ) / (n * (n - 3))


@pytest.mark.parametrize(("n_texts", "width"), [(40, 5), (20, 50)])
def test_cka_label_equals_the_estimate_from_whole_kernels(n_texts, width):
    features, labels = problem(n_texts, width)
    standard, targets = standardised(features.astype(np.float64)), np.eye(3)[labels]
    kernel, theirs = standard @ standard.T, targets @ targets.T
    want = plain_hsic(kernel, theirs) / np.sqrt(
        plain_hsic(kernel, kernel) * plain_hsic(theirs, theirs)
    )
    assert cka_label(features, labels) == pytest.approx(want, abs=1e-5)


def test_cka_label_of_wide_noise_is_zero_and_of_the_labels_one():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    assert cka_label(rng.normal(size=(60, 2000)), labels) == pytest.approx(0, abs=0.05)
    assert cka_label(np.eye(3)[labels], labels) == pytest.approx(1)


def test_cka_label_refuses_three_texts():
    with pytest.raises(ShapeError, match="at least 4 texts, got 3"):
        cka_label(np.eye(3), np.array([0, 1, 1]))


def test_mdl_of_a_constant_layer_is_the_code_length_of_class_counts():
    """A probe on constant features predicts class shares; Laplace's rule mixes in uniform ones."""
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1], [150, 50]))
    order = np.random.default_rng(5).permutation(200)
    ends = [1, 2, 3, 6, 12, 25, 50, 100, 200]
    bits = [1.0]
    for start, end in itertools.pairwise(ends):
        seen = np.bincount(labels[order[:start]], minlength=2)
        guess = (seen + 1) / (start + 2)
        bits += list(-np.log2(guess[labels[order[start:end]]]))
    got = -mdl(np.full((200, 3), 0.2, dtype=np.float32), labels, random_state=5)[order]
    assert got.sum() == pytest.approx(sum(bits), abs=0.05)


def test_mdl_of_perfectly_separable_labels_is_small():
    labels = np.random.default_rng(0).permutation(np.arange(400) % 2)
    bits = -mdl(np.repeat(20.0 * labels[:, None], 3, axis=1), labels)
    assert bits.min() >= 0
    assert bits.sum() < 40  # of 400
    assert np.median(bits) < 0.02


def test_mdl_refuses_one_class():
    with pytest.raises(LabelError, match="at least two classes"):
        mdl(np.zeros((4, 2)), np.zeros(4, dtype=int))


@pytest.mark.parametrize("n_judged", [3000, 2999, 500])
@pytest.mark.parametrize("offset", [0.0, 500.0])
def test_loo_ridge_of_many_texts_fits_on_all_and_judges_a_sample(offset, n_judged, monkeypatch):
    """One pass over features with a large mean, and errors on a sample only."""
    features, labels = problem(3000, 12)
    monkeypatch.setattr("layerfuse.score.loo_ridge._ROWS", 700)
    monkeypatch.setattr("layerfuse.score.loo_ridge.MAX_JUDGED", n_judged)
    rows, targets = sample_texts(labels, n_judged, 0), np.eye(3)[labels]
    path = ridge_path(Standardizer.fit(features).apply(features))
    errors = [path.loo_errors(targets, penalty)[rows] for penalty in path.penalties]
    held_out = targets[rows] - min(errors, key=lambda error: np.square(error).sum())
    expected = likeliest(held_out, labels[rows], np.ones(n_judged))
    scores = loo_ridge(features + np.float32(offset), labels)
    np.testing.assert_allclose(scores, expected, atol=1e-5 if offset == 0 else 1e-3)


def likeliest(held_out, labels, weights):
    """Log likelihoods under the best temperature, with one added text of no class."""
    texts = np.arange(len(labels))
    wanted = np.eye(held_out.shape[1])[labels] * len(labels) / (len(labels) + 1)
    wanted += 1 / held_out.shape[1] / (len(labels) + 1)

    def loss(factor):
        return -weights @ (wanted * log_softmax(factor * held_out, axis=1)).sum(1)

    factor = scipy.optimize.minimize_scalar(loss, bracket=(1, 20), tol=1e-12).x
    return log_softmax(factor * held_out, axis=1)[texts, labels] * weights


def test_loo_ridge_of_many_texts_judges_a_sample_with_rare_classes(monkeypatch):
    """The sample has one of three texts of a class; it counts, in the temperature too."""
    features, labels = problem(1500, 8)
    labels[[5, 305, 605]], labels[900] = 3, 4
    features[labels == 3] += 1
    monkeypatch.setattr("layerfuse.score.loo_ridge.MAX_JUDGED", 150)
    rows, targets = sample_texts(labels, 150, 0), np.eye(5)[labels]
    assert np.bincount(labels[rows])[3:].tolist() == [1, 1]
    path = ridge_path(Standardizer.fit(features).apply(features))
    errors = [path.loo_errors(targets, penalty)[rows] for penalty in path.penalties]
    held_out = targets[rows] - min(errors, key=lambda error: np.square(error).sum())
    expected = likeliest(held_out, labels[rows], (labels[rows] != 4).astype(float))
    scores = loo_ridge(features, labels)
    np.testing.assert_allclose(scores, expected, atol=1e-4)
    assert scores[labels[rows] == 3] < -1
    assert scores[labels[rows] == 4] == 0


def test_loo_ridge_ranks_layers_without_classification_errors():
    labels = np.arange(32) % 2
    noise = np.random.default_rng(0).normal(size=(32, 4))
    scores = [loo_ridge(noise + shift * labels[:, None], labels).mean() for shift in (8, 12, 24)]
    assert scores == sorted(scores)
    assert scores[0] < scores[1] - 1e-4 < scores[2] - 2e-4 < 0


def test_loo_ridge_differs_between_layers_no_better_than_chance():
    labels = np.arange(16) % 2
    rng = np.random.default_rng(0)
    scores = [loo_ridge(rng.normal(size=(16, 40)), labels).mean() for _ in range(10)]
    assert sum(score < -np.log(2) - 0.01 for score in scores) > 3
    assert len(set(scores)) == 10


def test_loo_ridge_scores_the_only_text_of_its_class_zero():
    features, labels = problem(60)
    labels[7] = 3
    scores = loo_ridge(features, labels)
    assert scores[7] == 0
    assert (np.delete(scores, 7) < 0).all()


def test_loo_ridge_prefers_the_layer_that_separates_rare_classes():
    """One layer separates two rare classes; the other is slightly better at the frequent ones.

    The Brier score would prefer the other.
    """
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2, 3], [900, 900, 20, 20])
    first = np.stack([labels == 1, labels == 2, labels == 3], axis=1) * [3.0, 6.0, 6.0]
    second = np.stack([labels == 1], axis=1) * 3.4
    noise = rng.normal(size=(len(labels), 4))
    rare, frequent = first + noise[:, :3], second + noise[:, 3:]
    assert loo_ridge(rare, labels).mean() > loo_ridge(frequent, labels).mean()
    losses = [ridge_path(layer).best(np.eye(4)[labels])[1].mean() for layer in (rare, frequent)]
    assert losses[0] > losses[1]


def test_loo_ridge_of_many_texts_refuses_values_that_are_not_finite(monkeypatch):
    features, labels = problem(300, 12)
    features[7, 3] = np.nan
    monkeypatch.setattr("layerfuse.score.loo_ridge.MAX_JUDGED", 100)
    with pytest.raises(FeatureError, match="NaN or infinity"):
        loo_ridge(features, labels)
