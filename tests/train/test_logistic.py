"""The logistic head against scikit-learn's own cross-validation."""

import warnings

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from layerfuse.core.supervision import Supervision
from layerfuse.train.logistic import INVERSE_PENALTIES, fit_logistic


def unit_rows(n_texts=120, n_classes=3, width=6, seed=0, shift=2):
    """Centred, mean squared norm of a row exactly 1."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n_texts) % n_classes)
    features = rng.normal(size=(n_texts, width))
    features[np.arange(n_texts), labels] += shift
    features -= features.mean(0)
    return features / np.sqrt(np.square(features).sum(1).mean()), labels


def as_logits(margins):
    """Return logits (text, class) from margins; with two classes there is one margin per text."""
    return margins if margins.ndim > 1 else np.stack([-margins, margins], axis=1) / 2


def best_factor(logits, labels):
    """Return the most likely factor for the labels plus one text with equal shares of classes."""

    def loss(log_factor):
        logs = log_softmax(np.exp(log_factor) * logits, axis=1)
        return -(len(labels) * logs[np.arange(len(labels)), labels] + logs.mean(1)).mean()

    return np.exp(minimize_scalar(loss, bounds=(-4, 4), method="bounded").x)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_penalty_and_quality_are_those_of_cross_validation(n_classes):
    """Penalties are compared on the first fold, each under its best temperature."""
    features, labels = unit_rows(n_classes=n_classes)
    folds = StratifiedKFold(5, shuffle=True, random_state=7)
    _, first = next(folds.split(features, labels))
    held_out, losses = [], []
    for inverse_penalty in INVERSE_PENALTIES:
        model = LogisticRegression(C=inverse_penalty, max_iter=2000, tol=1e-6)
        margins = cross_val_predict(model, features, labels, cv=folds, method="decision_function")
        held_out.append(as_logits(margins))
        factor = best_factor(held_out[-1][first], labels[first])
        losses.append(log_loss(labels[first], softmax(factor * held_out[-1][first], axis=1)))
    best = int(np.argmin(losses))
    candidate, head = fit_logistic(features, Supervision.of(labels, 7))
    assert candidate.penalty == INVERSE_PENALTIES[best]
    factor = best_factor(held_out[best], labels)
    assert head.temperature == pytest.approx(factor, rel=0.02)
    chances = softmax(factor * held_out[best], axis=1)
    assert candidate.log_loss == pytest.approx(log_loss(labels, chances), abs=2e-3)
    accuracy = (chances.argmax(1) == labels).mean()
    assert candidate.accuracy == pytest.approx(accuracy, abs=0.01)


def test_few_texts_of_many_dimensions_are_calibrated():
    """Without a temperature, even the weakest penalty of the grid leaves it underconfident."""
    train, labels = unit_rows(150, 6, width=300, shift=6)
    _, head = fit_logistic(train, Supervision.of(labels))
    others, truth = unit_rows(3000, 6, width=300, seed=1, shift=6)
    chances = head.probabilities(others)
    assert chances.max(1).mean() == pytest.approx((chances.argmax(1) == truth).mean(), abs=0.05)


def test_classes_that_folds_lack_leave_the_others_calibrated():
    """Forty classes of one text and two of forty texts; new texts of these are calibrated."""
    surely, rightly = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        labels = np.concatenate([np.arange(80) % 2, np.arange(2, 42)])
        train, others = rng.normal(size=(120, 20)), rng.normal(size=(3000, 20))
        truth = np.arange(3000) % 2
        train[:80, 0] += 2 * (2 * labels[:80] - 1)
        others[:, 0] += 2 * (2 * truth - 1)
        train[80:] *= 3
        mean = train.mean(0)
        _, head = fit_logistic(train - mean, Supervision.of(labels, seed))
        chances = head.probabilities(others - mean)
        surely.append(chances.max(1).mean())
        rightly.append((chances.argmax(1) == truth).mean())
    assert np.mean(surely) == pytest.approx(np.mean(rightly), abs=0.01)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_probabilities_are_those_of_scikit_learn_but_for_the_temperature(n_classes, weighted):
    features, labels = unit_rows(n_classes=n_classes)
    weights = np.random.default_rng(0).uniform(0.5, 3, 120) if weighted else np.ones(120)
    candidate, head = fit_logistic(features, Supervision.of(labels, weights=weights))
    model = LogisticRegression(C=candidate.penalty, max_iter=2000, tol=1e-6)
    model.fit(features, labels, sample_weight=weights)
    logits = head.temperature * as_logits(model.decision_function(features))
    np.testing.assert_allclose(head.probabilities(features), softmax(logits, axis=1), atol=0.03)


def test_many_classes_of_few_texts_are_no_reason_to_warn():
    features, labels = unit_rows(61, 31, width=31)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_logistic(features, Supervision.of(labels))


def test_random_state_draws_the_folds():
    features, labels = unit_rows()
    losses = [
        fit_logistic(features, Supervision.of(labels, state))[0].log_loss for state in (0, 0, 1)
    ]
    assert losses[0] == losses[1] != losses[2]
