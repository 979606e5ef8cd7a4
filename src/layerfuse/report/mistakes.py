"""Wrongly predicted test texts, with their nearest training texts."""

from collections.abc import Sequence

import numpy as np

from layerfuse.core.arrays import Block, Targets
from layerfuse.core.standardize import Standardizer
from layerfuse.core.texts import encodable
from layerfuse.report.facts import Mistake, Neighbour
from layerfuse.report.trial import Trial

_MISTAKES = 20
_NEIGHBOURS = 3


def find_mistakes(
    trials: Sequence[Trial], probabilities: Targets, names: Sequence[str]
) -> tuple[Mistake, ...]:
    """Return the most confident wrong predictions.

    Parameters
    ----------
    trials : sequence of Trial
        One, or one per fold.
    probabilities : array of shape (test text, class)
        Predictions for the test texts of all trials, in their order.
    names : sequence of str
        Names of the classes.

    Returns
    -------
    tuple of Mistake
        At most twenty, each with the three training texts most similar at the best layer.
    """
    ends = np.cumsum([len(trial.split.test_texts) for trial in trials])
    mistakes: list[Mistake] = []
    for trial, predicted in zip(trials, np.split(probabilities, ends[:-1]), strict=True):
        split = trial.split
        train, test = trial.rows_of(trial.classifier.scores_.best)
        labels = trial.supervision.labels
        mistakes += mistakes_among(
            split.texts, train, labels, split.test_texts, test, trial.truth, predicted, names
        )
    return tuple(sorted(mistakes, key=lambda mistake: -mistake.probability)[:_MISTAKES])


def mistakes_among(
    texts: Sequence[str],
    features: Block,
    labels: np.ndarray,
    test_texts: Sequence[str],
    test_features: np.ndarray,
    truth: np.ndarray,
    probabilities: np.ndarray,
    names: Sequence[str],
) -> tuple[Mistake, ...]:
    """Return the most confident wrong predictions for the test texts of one split.

    Parameters
    ----------
    texts : sequence of str
        Training texts.
    features : float array of shape (text, feature)
        Embeddings of the training texts at one layer.
    labels : int array of shape (text,)
        Class indices of the training texts.
    test_texts, test_features, truth
        The same for the test texts.
    probabilities : array of shape (test text, class)
        Predictions for the test texts.
    names : sequence of str
        Names of the classes.

    Returns
    -------
    tuple of Mistake
        At most twenty, each with the three training texts of highest cosine similarity.
    """
    predicted, confidence = probabilities.argmax(1), probabilities.max(1)
    wrong = np.flatnonzero(predicted != truth)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:_MISTAKES]
    standard = Standardizer.fit(features)
    train, test = (_unit(standard.apply(x)) for x in (features, test_features[worst]))
    similarity = test @ train.T
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :_NEIGHBOURS]
    return tuple(
        Mistake(
            encodable(test_texts[i]),
            names[truth[i]],
            names[predicted[i]],
            float(confidence[i]),
            tuple(
                Neighbour(encodable(texts[j]), names[labels[j]], float(row[j]))
                for j in order.tolist()
            ),
        )
        for i, row, order in zip(worst.tolist(), similarity, nearest, strict=True)
    )


def _unit(features: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    unit: np.ndarray = features / np.where(norms > 0, norms, 1).astype(np.float32)
    return unit
