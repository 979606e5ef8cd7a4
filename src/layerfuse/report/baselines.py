"""What every result stands beside: baselines trained on the same texts with the same heads."""

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from layerfuse.core.arrays import Block, Targets
from layerfuse.core.errors import SelectionError
from layerfuse.core.layers import LayerRef, LayerRows
from layerfuse.fuse import FusionName, Supervision, fusion_name
from layerfuse.report.facts import BEST_OF_ALL
from layerfuse.report.trial import Trial, class_shares
from layerfuse.train import fit_lexical

RESULT = "layerfuse"


@dataclass(frozen=True, slots=True, eq=False)
class Predicted:
    """What one classifier says of the test texts.

    Parameters
    ----------
    name, kind : str
        As in ``Quality``.
    probabilities : array of shape (text, class)
        Rows sum to 1.
    """

    name: str
    kind: str
    probabilities: Targets


def predict_tfidf(
    texts: Sequence[str], supervision: Supervision, test_texts: Sequence[str]
) -> Targets:
    """Predict by logistic regression on TF-IDF; penalty, temperature and pairs are validated.

    Parameters
    ----------
    texts : sequence of str
        Training texts.
    supervision : Supervision
        Their labels.
    test_texts : sequence of str
        Texts to predict.

    Returns
    -------
    array of shape (test text, class)
        Probabilities; the classes' shares where no word stands in two training texts.
    """
    found = fit_lexical(
        texts,
        supervision.labels,
        supervision.weights,
        supervision.random_state,
        supervision.groups,
        losses=["logistic"],
    )
    if found is None:  # nothing is left but the intercept
        return class_shares(supervision, len(test_texts))
    _, head = found
    probabilities: Targets = np.exp(head.log_probabilities(test_texts))
    return probabilities


def layer_at(embeddings: LayerRows, depth: float) -> LayerRef:
    """Return the layer at a share of the depth, under the first pooling.

    Parameters
    ----------
    embeddings : LayerRows
        Of a whole backbone.
    depth : float
        1 is the last layer, which people embed with today; half a layer is rounded up.
    """
    layer = int(depth * max(ref.layer for ref in embeddings.refs) + 0.5)
    return next(ref for ref in embeddings.refs if ref.layer == layer)


def best_layers(trial: Trial) -> tuple[LayerRef, ...]:
    """Return the layer of each backbone that scores best on the training texts."""
    scores = trial.classifier.scores_
    return tuple(scores.of(own.backbone).best for own in trial.train)


def predict_all(trial: Trial, fusions: Sequence[FusionName] = ()) -> Iterator[Predicted]:
    """Train every baseline, and predict with each and with the classifier.

    Parameters
    ----------
    trial : Trial
        The classifier.
    fusions : sequence of FusionName
        To be tried on the chosen layers.

    Yields
    ------
    Predicted
        TF-IDF; the last, the middle and the best layer of each backbone, the best by its score on
        the training texts; the best layer of all; the mean of all layers of each backbone; the last
        layers beside each other; each fusion that takes the chosen layers (else a warning says
        why not), with words if the classifier has some; the chosen layers of the backbone that has
        the best layer, where the classifier has those of others too; the classifier without its
        words, unless it was told to have none; the classifier, last.
    """
    texts, tests = trial.split.texts, trial.split.test_texts
    by_words = predict_tfidf(texts, trial.supervision, tests)
    yield Predicted("TF-IDF + logistic regression", "tfidf", by_words)
    lasts = tuple(layer_at(own, 1.0) for own in trial.train)
    middles = tuple(layer_at(own, 0.5) for own in trial.train)
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
    chosen, words = trial.classifier.selection_.refs, trial.classifier.head_.lexical is not None
    for fusion in fusions:
        try:
            probabilities = trial.predict(chosen, fusion, lexical=words)
        except SelectionError as err:  # known only now, and no reason to lose all other rows
            warnings.warn(f"{fusion} is left out of the comparison: {err}", stacklevel=2)
            continue
        yield Predicted(f"chosen layers, {fusion}", "fusion", probabilities)
    yield from _one_backbone(trial, winner.backbone)
    if trial.classifier.lexical:
        yield Predicted(f"{RESULT} without words", "without words", trial.result(lexical=False))
    yield Predicted(RESULT, "result", trial.result())


def _one_backbone(trial: Trial, backbone: str) -> Iterator[Predicted]:
    """Yield what the chosen layers of one backbone give, for what the others add to be seen."""
    chosen = trial.classifier.selection_.refs
    own = tuple(ref for ref in chosen if ref.backbone == backbone)
    if not own or own == chosen:
        return
    # What cannot combine so few layers shows nothing of them.
    with contextlib.suppress(SelectionError):
        probabilities = trial.predict(own, fusion_name(trial.classifier.fusion_))
        yield Predicted(f"{RESULT} on {backbone} alone", "one backbone", probabilities)


def predict_pooled(
    trials: Sequence[Trial], fusions: Sequence[FusionName] = ()
) -> tuple[Predicted, ...]:
    """Predict the test texts of all trials, fold after fold.

    Parameters
    ----------
    trials : sequence of Trial
        One, or one per fold, of the same classes.
    fusions : sequence of FusionName
        As in ``predict_all``; one that some fold leaves out is left out.

    Returns
    -------
    tuple of Predicted
        As from ``predict_all``.
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
    """Return the mean of all layers of each backbone, under the pooling of the layer that is named.

    One layer is in memory at a time.
    """
    by_name = {own.backbone: own for own in embeddings}
    means = []
    for ref in refs:
        own = by_name[ref.backbone]
        layers = [one for one in own.refs if one.pooling == ref.pooling]
        total = own.row(layers[0]).copy()
        for layer in layers[1:]:
            total += own.row(layer)
        means.append(total / np.float32(len(layers)))
    return means
