"""Baselines and variants of the result, trained on the same texts with the same heads."""

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from layerfuse.core.arrays import Block, Targets
from layerfuse.core.errors import SelectionError
from layerfuse.core.layers import LayerRef, LayerRows
from layerfuse.core.supervision import Supervision
from layerfuse.fuse import FusionName, fusion_name
from layerfuse.report.facts import BEST_OF_ALL
from layerfuse.report.trial import Trial, class_shares
from layerfuse.train import fit_lexical

RESULT = "layerfuse"


@dataclass(frozen=True, slots=True, eq=False)
class Predicted:
    """The predictions of one classifier on the test texts.

    Parameters
    ----------
    name, kind : str
        As in ``Quality``.
    probabilities : array of shape (text, class)
        Each row sums to 1.
    """

    name: str
    kind: str
    probabilities: Targets


def predict_tfidf(
    texts: Sequence[str], supervision: Supervision, test_texts: Sequence[str]
) -> Targets:
    """Predict by logistic regression on TF-IDF; penalty, temperature and terms are validated.

    Parameters
    ----------
    texts : sequence of str
        Training texts.
    supervision : Supervision
        Labels of the training texts.
    test_texts : sequence of str
        Texts to predict.

    Returns
    -------
    array of shape (test text, class)
        Probabilities; the class shares if no term occurs in two training texts.
    """
    fitted = fit_lexical(texts, supervision, losses=["logistic"])
    if fitted is None:  # only the intercept is left
        return class_shares(supervision, len(test_texts))
    _, head = fitted
    probabilities: Targets = np.exp(head.log_probabilities(test_texts))
    return probabilities


def layer_at(embeddings: LayerRows, depth: float) -> LayerRef:
    """Return the layer at a relative depth, under the first pooling.

    Parameters
    ----------
    embeddings : LayerRows
        Embeddings of a whole backbone.
    depth : float
        0 is the embedding output, 1 the last layer; half a layer is rounded up.
    """
    layer = int(depth * max(ref.layer for ref in embeddings.refs) + 0.5)
    return next(ref for ref in embeddings.refs if ref.layer == layer)


def best_layers(trial: Trial) -> tuple[LayerRef, ...]:
    """Return the layer of each backbone with the highest score on the training texts."""
    scores = trial.classifier.scores_
    return tuple(scores.of(stored.backbone).best for stored in trial.train)


def predict_all(trial: Trial, fusions: Sequence[FusionName] = ()) -> Iterator[Predicted]:
    """Train all baselines and variants, and predict with each of them and the classifier.

    Parameters
    ----------
    trial : Trial
        Trial of the classifier.
    fusions : sequence of FusionName
        Further fusions of the chosen layers.

    Yields
    ------
    Predicted
        TF-IDF; the last, the middle and the best layer of each backbone; with several backbones
        also the best layer of all, right after the same of its backbone; the mean of all layers of
        each backbone, concatenated; with several backbones all last layers concatenated; each
        further fusion, with the TF-IDF head if the classifier has it (a fusion that cannot combine
        the chosen layers is left out with a warning); the chosen layers of the backbone with the
        best layer, if there are others; the classifier without its TF-IDF head, unless that was
        switched off; last, the classifier. Best layers have the highest score on the training
        texts.
    """
    texts, tests = trial.split.texts, trial.split.test_texts
    probabilities = predict_tfidf(texts, trial.supervision, tests)
    yield Predicted("TF-IDF + logistic regression", "tfidf", probabilities)
    lasts = tuple(layer_at(stored, 1.0) for stored in trial.train)
    middles = tuple(layer_at(stored, 0.5) for stored in trial.train)
    for kind, refs in (("last layer", lasts), ("middle layer", middles)):
        for ref in refs:
            yield Predicted(f"{ref.backbone}, {kind}", kind, trial.predict((ref,)))
    winner = trial.classifier.scores_.best
    for ref in best_layers(trial):
        probabilities = trial.predict((ref,))
        yield Predicted(f"{ref.backbone}, best layer", "best layer", probabilities)
        if ref == winner and len(lasts) > 1:
            yield Predicted(BEST_OF_ALL, "best layer", probabilities)
    yield Predicted("mean of all layers", "layer mean", trial.predict(lasts, read=_read_means))
    if len(lasts) > 1:
        yield Predicted("last layers of all", "last layers", trial.predict(lasts))
    chosen, lexical = trial.classifier.selection_.refs, trial.classifier.head_.lexical is not None
    for fusion in fusions:
        try:
            probabilities = trial.predict(chosen, fusion, lexical=lexical)
        except SelectionError as err:  # must not lose all other rows
            warnings.warn(f"{fusion} is left out of the comparison: {err}", stacklevel=2)
            continue
        yield Predicted(f"chosen layers, {fusion}", "fusion", probabilities)
    yield from _one_backbone(trial, winner.backbone)
    if trial.classifier.lexical:
        yield Predicted(f"{RESULT} without TF-IDF", "without words", trial.result(lexical=False))
    yield Predicted(RESULT, "result", trial.result())


def _one_backbone(trial: Trial, backbone: str) -> Iterator[Predicted]:
    """Yield the chosen layers of one backbone alone, which shows what the others add."""
    chosen = trial.classifier.selection_.refs
    refs = tuple(ref for ref in chosen if ref.backbone == backbone)
    if not refs or refs == chosen:
        return
    with contextlib.suppress(SelectionError):  # the fusion may need more layers
        probabilities = trial.predict(refs, fusion_name(trial.classifier.fusion_))
        yield Predicted(f"{RESULT} on {backbone} alone", "one backbone", probabilities)


def predict_pooled(
    trials: Sequence[Trial], fusions: Sequence[FusionName] = ()
) -> tuple[Predicted, ...]:
    """Predict the test texts of all trials, fold after fold.

    Parameters
    ----------
    trials : sequence of Trial
        One, or one per fold, with the same classes.
    fusions : sequence of FusionName
        As in ``predict_all``.

    Returns
    -------
    tuple of Predicted
        As from ``predict_all``; only rows that every fold has.
    """
    by_trial = [{row.name: row for row in predict_all(trial, fusions)} for trial in trials]
    return tuple(
        dataclasses.replace(
            row, probabilities=np.concatenate([rows[name].probabilities for rows in by_trial])
        )
        for name, row in by_trial[0].items()
        if all(name in rows for rows in by_trial)
    )


def _read_means(embeddings: Sequence[LayerRows], refs: Sequence[LayerRef]) -> list[Block]:
    """Return the mean of all layers of each ref's backbone under its pooling.

    One layer is in memory at a time.
    """
    by_name = {backbone.backbone: backbone for backbone in embeddings}
    means = []
    for ref in refs:
        backbone = by_name[ref.backbone]
        layers = [layer for layer in backbone.refs if layer.pooling == ref.pooling]
        total = backbone.row(layers[0]).copy()
        for layer in layers[1:]:
            total += backbone.row(layer)
        means.append(total / np.float32(len(layers)))
    return means
