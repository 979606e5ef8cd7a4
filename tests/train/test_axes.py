"""Principal axes: orthonormal, strongest first, none without variance, at most the limit."""

import numpy as np
import pytest

from layerfuse.train import axes as axes_module
from layerfuse.train.axes import project

SHAPES = pytest.mark.parametrize(("n_texts", "width"), [(60, 8), (20, 50), (15, 15)])


def principal_axes(features, random_state=0):
    """Return the axes as columns, by lifting unit coefficients to the features."""
    projection = project(features, random_state)
    return projection.lift(np.eye(projection.vectors.shape[1], dtype=np.float32))


def spread(n_texts, width, seed=0):
    """Deviations fall from axis to axis, and the mean is far from zero."""
    rng = np.random.default_rng(seed)
    strengths = np.geomspace(3, 0.1, width)
    return (rng.normal(size=(n_texts, width)) * strengths + 5).astype(np.float32)


@SHAPES
def test_orthonormal_and_as_many_as_there_is_variance(n_texts, width):
    axes = principal_axes(spread(n_texts, width))
    n_axes = min(width, n_texts - 1)
    assert axes.shape == (width, n_axes)
    assert axes.dtype == np.float32
    np.testing.assert_allclose(axes.T @ axes, np.eye(n_axes), atol=1e-3)


@SHAPES
def test_those_of_the_singular_value_decomposition_in_order(n_texts, width):
    features = spread(n_texts, width)
    axes = principal_axes(features)
    centred = features.astype(float) - features.mean(0, dtype=float)
    _, singular, right = np.linalg.svd(centred, full_matrices=False)
    strengths = np.linalg.norm(centred @ axes, axis=0)
    np.testing.assert_allclose(strengths, singular[: axes.shape[1]], rtol=1e-3)
    np.testing.assert_allclose(np.abs(np.sum(axes[:, :3] * right[:3].T, axis=0)), 1, atol=1e-3)


@SHAPES
def test_distances_are_kept(n_texts, width):
    features = spread(n_texts, width)
    projected = (features - features.mean(0)) @ principal_axes(features)
    for gap in (1, 7):
        np.testing.assert_allclose(
            np.linalg.norm(projected[gap:] - projected[:-gap], axis=1),
            np.linalg.norm(features[gap:] - features[:-gap], axis=1),
            rtol=1e-3,
        )


@pytest.mark.parametrize(("n_texts", "width"), [(60, 8), (20, 50)])
def test_repeated_and_constant_features_give_no_axis(n_texts, width):
    features = spread(n_texts, width)
    rank = min(width, 3)
    features[:, rank:] = features[:, :1]
    features[:, rank] = 0.1
    assert principal_axes(features).shape == (width, rank)


@pytest.mark.parametrize("shape", [(30, 5), (5, 30)])
def test_constant_features_give_no_axis_at_all(shape):
    assert principal_axes(np.full(shape, 0.1, dtype=np.float32)).shape == (shape[1], 0)


@pytest.mark.parametrize(("n_texts", "width"), [(60, 30), (30, 60)])
def test_no_more_axes_than_the_limit_and_those_the_strongest(monkeypatch, n_texts, width):
    features = spread(n_texts, width)
    whole = principal_axes(features)
    monkeypatch.setattr(axes_module, "MAX_AXES", 5)
    strongest = principal_axes(features)
    assert strongest.shape == (width, 5)
    # Computed alone, they differ in the last bits and may have the opposite sign.
    np.testing.assert_allclose(np.abs((strongest * whole[:, :5]).sum(0)), 1, atol=1e-6)


def test_very_many_texts_and_features_are_sampled(monkeypatch):
    monkeypatch.setattr(axes_module, "_MAX_GRAM", 40)
    features = spread(400, 60)
    features[:, 7] += 20 * np.sign(features[:, 7] - 5)  # by far the strongest direction
    axes = principal_axes(features, random_state=3)
    assert axes.shape == (60, 39)
    np.testing.assert_allclose(axes.T @ axes, np.eye(39), atol=1e-3)
    assert abs(axes[7, 0]) > 0.99
    np.testing.assert_array_equal(principal_axes(features, random_state=3), axes)
    assert not np.array_equal(principal_axes(features, random_state=4), axes)


@pytest.mark.parametrize(("n_texts", "width"), [(400, 30), (30, 400)])
def test_no_sample_where_one_side_is_small(monkeypatch, n_texts, width):
    features = spread(n_texts, width)
    whole = principal_axes(features)
    monkeypatch.setattr(axes_module, "_MAX_GRAM", 40)
    np.testing.assert_array_equal(principal_axes(features), whole)


def test_does_not_write_into_the_features():
    features = spread(30, 8)
    principal_axes(features)
    np.testing.assert_array_equal(features, spread(30, 8))


@pytest.mark.parametrize(("n_texts", "width"), [(300, 80), (80, 300)])
def test_few_of_many_axes_are_nearly_the_exact_ones(monkeypatch, n_texts, width):
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(width, 70)))[0]
    features = spread(n_texts, 70) @ turn.T.astype(np.float32)
    monkeypatch.setattr(axes_module, "MAX_AXES", 12)
    exact = principal_axes(features)
    monkeypatch.setattr(axes_module, "_SPARE", 8)
    found = principal_axes(features)
    assert not np.array_equal(found, exact)  # otherwise no subspace iteration ran
    np.testing.assert_allclose(found.T @ found, np.eye(12), atol=1e-3)
    centred = features - features.mean(0)
    held, most = (np.square(centred @ axes).sum(0) for axes in (found, exact))
    assert held.sum() > 0.995 * most.sum()
    np.testing.assert_allclose(held[:4], most[:4], rtol=1e-2)
    np.testing.assert_array_equal(found, principal_axes(features))


@SHAPES
@pytest.mark.parametrize("spare", [256, 2])
def test_vectors_are_the_centred_features_on_the_axes(monkeypatch, n_texts, width, spare):
    """Also with few axes, and if texts are fewer than features and no axes are computed."""
    monkeypatch.setattr(axes_module, "_SPARE", spare)
    monkeypatch.setattr(axes_module, "_ROWS", 7)
    monkeypatch.setattr(axes_module, "MAX_AXES", 4)
    features = spread(n_texts, width)
    projection = project(features)
    axes = principal_axes(features)
    assert axes.shape == (width, 4)
    np.testing.assert_allclose(projection.mean, features.mean(0, dtype=float), rtol=1e-6)
    expected = (features - projection.mean) @ axes
    np.testing.assert_allclose(projection.vectors, expected, atol=2e-4)


def test_a_model_on_the_axes_is_the_same_on_the_features():
    features = spread(20, 50)
    projection = project(features)
    coefficients = np.random.default_rng(1).normal(size=(19, 3)).astype(np.float32)
    by_features = (features - projection.mean) @ projection.lift(coefficients)
    np.testing.assert_allclose(projection.vectors @ coefficients, by_features, atol=1e-3)
