"""Standardizer equals scikit-learn where features vary, and is zero where they do not."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from layerfuse.core.standardize import Standardizer


def varied(n_texts=200, width=6, seed=0):
    rng = np.random.default_rng(seed)
    scales = np.array([1e-4, 1e-2, 1.0, 3.0, 1e2, 1e4])[:width]
    shifts = np.array([0.0, 1.0, -3.0, 50.0, 1e3, -2e4])[:width]
    return (rng.normal(size=(n_texts, width)) * scales + shifts).astype(np.float32)


def test_equals_scikit_learn_on_train_and_test():
    train, test = varied(seed=0), varied(seed=1)
    ours = Standardizer.fit(train)
    theirs = StandardScaler().fit(train.astype(np.float64))
    np.testing.assert_allclose(ours.apply(train), theirs.transform(train.astype(float)), atol=2e-3)
    np.testing.assert_allclose(ours.apply(test), theirs.transform(test.astype(float)), atol=2e-3)


@pytest.mark.parametrize("constant", [0.0, 0.1, -7.3, 1e4, 1e-8])
def test_a_constant_dimension_is_zero(constant):
    features = varied(width=3)
    features[:, 1] = constant
    standard = Standardizer.fit(features).apply(features)
    np.testing.assert_array_equal(standard[:, 1], 0)
    np.testing.assert_allclose(standard[:, [0, 2]].std(0), 1, atol=1e-4)


@pytest.mark.parametrize("constant", [0.1, -7.3, 1e4])
def test_a_constant_with_float32_rounding_noise_is_zero(constant):
    features = varied(width=3)
    noise = np.random.default_rng(0).choice([-1, 0, 1], size=len(features))
    features[:, 1] = np.float32(constant) + noise * np.spacing(np.float32(constant))
    assert len(np.unique(features[:, 1])) == 3
    np.testing.assert_array_equal(Standardizer.fit(features).apply(features)[:, 1], 0)


def test_a_dead_dimension_stays_zero_on_texts_where_it_varies():
    train, test = varied(width=3), varied(width=3, seed=1)
    train[:, 0] = 5
    np.testing.assert_array_equal(Standardizer.fit(train).apply(test)[:, 0], 0)


def test_a_small_dimension_that_varies_is_not_dead():
    features = varied(width=1) * np.float32(1e-6)
    np.testing.assert_allclose(Standardizer.fit(features).apply(features).std(0), 1, rtol=1e-4)


def test_state_and_result_are_float32():
    fitted = Standardizer.fit(varied())
    assert fitted.mean.dtype == fitted.scale.dtype == fitted.apply(varied()).dtype == np.float32


def test_does_not_write_into_the_features():
    features = varied()
    before = features.copy()
    Standardizer.fit(features).apply(features)
    np.testing.assert_array_equal(features, before)
