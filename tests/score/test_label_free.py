"""Label-free criteria, each against a closed form or a slow reference."""

import numpy as np
import pytest
from scipy.stats import ortho_group
from sklearn.neighbors import NearestNeighbors

from layerfuse.core.errors import LayerError
from layerfuse.core.layers import LayerEmbeddings, LayerRef
from layerfuse.score import CRITERIA, score_layers
from layerfuse.score.alpha_req import alpha_req, decay
from layerfuse.score.anisotropy import anisotropy
from layerfuse.score.matrix_entropy import matrix_entropy
from layerfuse.score.rankme import rankme
from layerfuse.score.twonn import twonn


def with_spectrum(squares, n_texts=80, seed=0):
    """Return centred features whose Gram matrix has given eigenvalues, in a random basis."""
    rng = np.random.default_rng(seed)
    width = len(squares)
    noise = rng.normal(size=(n_texts, width))
    left = np.linalg.qr(noise - noise.mean(0))[0]
    right = ortho_group.rvs(width, random_state=seed)
    return (left * np.sqrt(squares)) @ right


@pytest.mark.parametrize("criterion", sorted(n for n in CRITERIA if CRITERIA[n].label_free))
def test_every_label_free_criterion_has_a_warning(criterion):
    info = CRITERIA[criterion]
    assert "task" in info.warning or "labels" in info.warning


@pytest.mark.parametrize(("n_texts", "width"), [(30, 6), (10, 25)])
def test_rankme_and_matrix_entropy_equal_their_definitions(n_texts, width):
    features = np.random.default_rng(0).normal(size=(n_texts, width)) + 0.5
    singular = np.linalg.svd(features, compute_uv=False)
    shares = singular / singular.sum()
    assert rankme(features) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))
    density = features @ features.T / np.trace(features @ features.T)
    eigenvalues = np.linalg.eigvalsh(density).clip(1e-300)
    want = -(eigenvalues * np.log(eigenvalues)).sum()
    assert matrix_entropy(features) == pytest.approx(want)


def test_rankme_and_matrix_entropy_are_highest_for_equal_directions():
    features = with_spectrum(np.full(7, 3.0))
    assert rankme(features) == pytest.approx(7)
    assert matrix_entropy(features) == pytest.approx(np.log(7))


@pytest.mark.parametrize("exponent", [0.0, 0.4, 1.0, 2.5])
def test_alpha_req_of_an_exact_power_law_is_its_distance_from_one(exponent):
    squares = np.arange(1, 41.0) ** -exponent
    assert decay(squares) == pytest.approx(exponent, abs=1e-9)
    features = with_spectrum(squares) + 5.0  # centring takes the shift off
    assert alpha_req(features) == pytest.approx(-abs(exponent - 1), abs=1e-6)


def test_decay_equals_a_weighted_regression():
    squares = np.sort(np.random.default_rng(0).exponential(size=30))[::-1]
    ranks = np.arange(1, 31)
    design = np.column_stack([-np.log(ranks), np.ones(30)])
    weighted = design / ranks[:, None]
    want = np.linalg.solve(design.T @ weighted, weighted.T @ np.log(squares))[0]
    assert decay(squares) == pytest.approx(want)


@pytest.mark.parametrize("dimension", [1, 3, 6])
def test_twonn_finds_the_dimension_of_a_curved_surface(dimension):
    rng = np.random.default_rng(0)
    surface = rng.uniform(size=(1500, dimension))
    embedded = np.hstack([surface, np.sin(surface), surface**2, np.zeros((1500, 5))])
    rotated = embedded @ ortho_group.rvs(embedded.shape[1], random_state=0)
    assert twonn(rotated.astype(np.float32)) == pytest.approx(dimension, rel=0.15)


def test_twonn_equals_the_estimate_from_neighbours_of_scikit_learn():
    features = np.random.default_rng(0).normal(size=(90, 6)) + 3
    distances = NearestNeighbors(n_neighbors=3).fit(features).kneighbors(features)[0]
    want = 90 / np.log(distances[:, 2] / distances[:, 1]).sum()
    assert twonn(features) == pytest.approx(want)


@pytest.mark.parametrize("n_copies", [1, 20, 60])
def test_twonn_counts_equal_texts_once(n_copies):
    features = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    with_copies = np.vstack([features[:n_copies], features, features[:n_copies]])
    assert twonn(with_copies) == pytest.approx(twonn(features), rel=1e-5)


def test_twonn_counts_texts_once_that_are_equal_up_to_rounding():
    """As those in upper case, to a backbone that ignores case, in a batch of another shape."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 3)).astype(np.float32)
    noise = rng.uniform(-1e-6, 1e-6, size=(60, 3)).astype(np.float32)
    repeated = np.vstack([features, features[:20] + noise[:20], features[:20] - noise[:20]])
    assert twonn(repeated) == pytest.approx(twonn(features), rel=1e-4)


@pytest.mark.parametrize("n_distinct", [1, 2])
def test_twonn_of_too_few_distinct_texts_is_zero(n_distinct):
    points = np.random.default_rng(0).normal(size=(n_distinct, 4)).astype(np.float32)
    assert twonn(np.repeat(points, 9, axis=0)) == 0.0


def test_anisotropy_is_the_mean_over_pairs():
    features = np.random.default_rng(0).normal(size=(12, 4)) + 1
    features[3] = 0
    cosines = [
        0.0 if 3 in (i, j) else a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        for i, a in enumerate(features)
        for j, b in enumerate(features)
        if i != j
    ]
    assert anisotropy(features) == pytest.approx(-np.mean(cosines))
    assert anisotropy(np.ones((5, 3))) == pytest.approx(-1)


def embed(values, layers, pooling="mean"):
    refs = tuple(LayerRef("toy", layer, pooling) for layer in layers)
    return LayerEmbeddings(np.asarray(values, dtype=np.float32), refs)


def test_curvature_of_a_polygon_is_its_outer_angle():
    corners = np.exp(2j * np.pi * np.arange(6) / 6)
    path = np.stack([corners.real, corners.imag], axis=1)  # layer, feature
    scores = score_layers(embed(np.repeat(path[:, None], 4, axis=1), range(6)), None, "curvature")
    assert [ref.layer for ref in scores.refs] == [1, 2, 3, 4]
    np.testing.assert_allclose(scores.values, -np.pi / 3, rtol=1e-6)
    np.testing.assert_allclose(scores.standard_errors, 0, atol=1e-6)


def test_curvature_of_straight_reversed_and_resting_paths():
    path = np.array([[0.0], [1.0], [2.0], [2.0], [1.0], [3.0]])
    scores = score_layers(embed(np.repeat(path[:, None], 3, axis=1), range(6)), None, "curvature")
    # straight on, into a rest, out of it, and back
    np.testing.assert_allclose(scores.values, [0, -np.pi / 2, -np.pi / 2, -np.pi], atol=1e-6)


def test_curvature_follows_each_pooling_in_the_order_of_layers():
    rng = np.random.default_rng(0)
    values = {(layer, pooling): rng.normal(size=(5, 3)) for layer in range(4) for pooling in "ml"}
    names = {"m": "mean", "l": "last"}
    order = [(2, "m"), (0, "l"), (1, "m"), (3, "m"), (1, "l"), (0, "m"), (2, "l")]
    refs = tuple(LayerRef("toy", layer, names[p]) for layer, p in order)
    block = LayerEmbeddings(np.stack([values[key] for key in order]).astype(np.float32), refs)
    scores = score_layers(block, None, "curvature")
    scored = [(ref.layer, ref.pooling) for ref in scores.refs]
    assert scored == [(2, "mean"), (1, "mean"), (1, "last")]
    for (layer, pooling), got in zip(scored, scores.values, strict=True):
        steps = [values[layer + i, pooling[0]] - values[layer + i - 1, pooling[0]] for i in (0, 1)]
        cosines = (steps[0] * steps[1]).sum(1) / np.linalg.norm(steps, axis=2).prod(0)
        assert got == pytest.approx(-np.arccos(cosines).mean(), rel=1e-5)


def test_curvature_needs_three_layers_in_a_row():
    with pytest.raises(LayerError, match=r"three consecutive layers.*got toy:0:mean, toy:2:mean"):
        score_layers(embed(np.ones((3, 4, 2)), [0, 2, 3]), None, "curvature")
