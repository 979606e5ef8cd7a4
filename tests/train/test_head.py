"""LinearHead."""

import numpy as np

from layerfuse.train import LinearHead


def test_decisions_and_probabilities():
    coefficients = np.array([[1.0, -1.0], [0.0, 2.0]], dtype=np.float32)
    head = LinearHead("ridge", coefficients, np.array([0.5, 0.0], dtype=np.float32), 2.0)
    features = np.array([[1.0, 1.0], [2.0, 0.0]], dtype=np.float32)
    np.testing.assert_allclose(head.decisions(features), [[1.5, 1.0], [2.5, -2.0]])
    want = 1 / (1 + np.exp(-2 * np.array([0.5, 4.5])))
    np.testing.assert_allclose(head.probabilities(features)[:, 0], want, rtol=1e-6)


def test_probabilities_of_huge_decisions_are_finite():
    coefficients = np.array([[1e6, -1e6]], dtype=np.float32)
    head = LinearHead("logistic", coefficients, np.zeros(2, dtype=np.float32))
    np.testing.assert_allclose(head.probabilities(np.ones((1, 1), dtype=np.float32)), [[1, 0]])
