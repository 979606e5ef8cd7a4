"""The logistic head against scikit-learn's own cross-validation."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from layerfuse.train.logistic import INVERSE_PENALTIES, fit_logistic


def unit_rows(n_texts=120, n_classes=3, width=6, seed=0):
    """Centred, mean squared norm of a row exactly 1."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n_texts) % n_classes)
    features = rng.normal(size=(n_texts, width))
    features[np.arange(n_texts), labels] += 2
    features -= features.mean(0)
    return features / np.sqrt(np.square(features).sum(1).mean()), labels


@pytest.mark.parametrize("n_classes", [2, 3])
def test_penalty_and_quality_are_those_of_cross_validation(n_classes):
    features, labels = unit_rows(n_classes=n_classes)
    folds = StratifiedKFold(5, shuffle=True, random_state=7)
    _, first = next(folds.split(features, labels))
    chances, losses = [], []
    for inverse_penalty in INVERSE_PENALTIES:
        model = LogisticRegression(C=inverse_penalty, max_iter=2000, tol=1e-6)
        chances.append(cross_val_predict(model, features, labels, cv=folds, method="predict_proba"))
        losses.append(log_loss(labels[first], chances[-1][first]))
    best = int(np.argmin(losses))  # on the first fold; judged on all
    candidate, _ = fit_logistic(features, labels, np.ones(120), 7)
    assert candidate.penalty == INVERSE_PENALTIES[best]
    assert candidate.log_loss == pytest.approx(log_loss(labels, chances[best]), abs=2e-3)
    accuracy = (chances[best].argmax(1) == labels).mean()
    assert candidate.accuracy == pytest.approx(accuracy, abs=0.01)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_probabilities_are_those_of_scikit_learn(n_classes, weighted):
    features, labels = unit_rows(n_classes=n_classes)
    weights = np.random.default_rng(0).uniform(0.5, 3, 120) if weighted else np.ones(120)
    candidate, head = fit_logistic(features, labels, weights, 0)
    model = LogisticRegression(C=candidate.penalty, max_iter=2000, tol=1e-6)
    model.fit(features, labels, sample_weight=weights)
    np.testing.assert_allclose(
        head.probabilities(features), model.predict_proba(features), atol=0.03
    )
    assert head.temperature == 1


def test_random_state_draws_the_folds():
    features, labels = unit_rows()
    losses = [
        fit_logistic(features, labels, np.ones(120), state)[0].log_loss for state in (0, 0, 1)
    ]
    assert losses[0] == losses[1] != losses[2]
