"""The baselines every result stands beside, and the comparison with them on test texts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layerfuse.classifier import FusionClassifier
from layerfuse.core.layers import LayerRef, LayerRows
from layerfuse.core.standardize import Standardizer
from layerfuse.extract import StoredEmbeddings, embed_to_store, store_at
from layerfuse.report.metrics import Interval, paired_gain, wilson_interval
from layerfuse.train import fit_head, fit_lexical


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """One row of a comparison.

    Parameters
    ----------
    name : str
        What was tried.
    accuracy : Interval
        On the test texts, with its 95 % Wilson interval.
    right : bool array of shape (text,)
        Which test texts were predicted right.
    gain : Interval
        Gain of the classifier under test over this row, in accuracy, with its paired 95 % interval.
    """

    name: str
    accuracy: Interval
    right: np.ndarray
    gain: Interval


def predict_tfidf(
    texts: Sequence[str], labels: Sequence[object], test_texts: Sequence[str]
) -> np.ndarray:
    """Predict by logistic regression on TF-IDF of words and word pairs, its penalty validated.

    Parameters
    ----------
    texts, labels : sequences of shape (text,)
        Training texts and their labels.
    test_texts : sequence of str
        Texts to predict.

    Returns
    -------
    array of shape (test text,)
        Predicted labels; the most frequent one where no word stands in two training texts.
    """
    names, classes = np.unique(np.asarray(labels), return_inverse=True)
    found = fit_lexical(texts, classes, np.ones(len(classes)))
    if found is None:  # nothing is left but the intercept
        return np.repeat(names[np.bincount(classes).argmax()], len(test_texts))
    _, head = found
    predicted: np.ndarray = names[head.log_probabilities(test_texts).argmax(1)]
    return predicted


def last_layer(embeddings: LayerRows) -> LayerRef:
    """Return the last layer under the first pooling: what people embed with today."""
    deepest = max(ref.layer for ref in embeddings.refs)
    return next(ref for ref in embeddings.refs if ref.layer == deepest)


def compare_with_baselines(
    classifier: FusionClassifier,
    texts: Sequence[str],
    labels: Sequence[object],
    test_texts: Sequence[str],
    test_labels: Sequence[object],
) -> list[Result]:
    """Compare a fitted classifier with its baselines on test texts, which nothing was fitted on.

    Parameters
    ----------
    classifier : FusionClassifier
        Fitted on exactly these training texts.
    texts, labels : sequences of shape (text,)
        What it was fitted on.
    test_texts, test_labels : sequences of shape (test text,)
        Touched here, once.

    Returns
    -------
    list of Result
        TF-IDF with logistic regression; the last layer of each backbone; the layer that scores best
        on the training texts; the classifier's layers without its lexical head, if it has one; the
        classifier itself, last.
    """
    truth = np.asarray(test_labels)
    predictions = {"TF-IDF + logistic regression": predict_tfidf(texts, labels, test_texts)}
    layers_alone = f"layerfuse: {len(classifier.selection_)} layers, {classifier.fusion}"
    lexical = classifier.head_.lexical is not None
    name = f"{layers_alone}, with TF-IDF" if lexical else layers_alone
    with store_at(classifier.cache) as store:
        tests = []
        for backbone in classifier.load_backbones():
            train = embed_to_store(backbone, texts, store, progress=classifier.progress)
            test = embed_to_store(backbone, test_texts, store, progress=classifier.progress)
            tests.append(test)
            last = last_layer(train)
            predictions[f"last layer of {backbone.name} ({last.pooling})"] = _predict_layer(
                train, test, last, labels
            )
            best = classifier.scores_.best
            if best.backbone == backbone.name:
                predictions[f"best validated layer: {best}"] = _predict_layer(
                    train, test, best, labels
                )
        if lexical:
            predictions[layers_alone] = classifier.predict_embedded(
                test_texts, tests, lexical=False
            )
        predictions[name] = classifier.predict_embedded(test_texts, tests)
    right = {row: predicted == truth for row, predicted in predictions.items()}
    return [
        Result(
            row,
            wilson_interval(int(correct.sum()), len(truth)),
            correct,
            paired_gain(right[name], correct),
        )
        for row, correct in right.items()
    ]


def _predict_layer(
    train: StoredEmbeddings, test: StoredEmbeddings, ref: LayerRef, labels: Sequence[object]
) -> np.ndarray:
    """Train the same kind of head on one layer alone."""
    names, classes = np.unique(np.asarray(labels), return_inverse=True)
    features = train.row(ref)
    standard = Standardizer.fit(features)
    head, _ = fit_head(standard.apply(features), classes)
    predicted: np.ndarray = names[head.decisions(standard.apply(test.row(ref))).argmax(1)]
    return predicted
