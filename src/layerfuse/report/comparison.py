"""``compare``: a classifier beside its baselines on test texts, in a ``Report``."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import confusion_matrix

from layerfuse.backbone import measure_costs
from layerfuse.classifier import FusionClassifier, gather_signals
from layerfuse.classifier.blocks import read_blocks
from layerfuse.classifier.gates import read_gates
from layerfuse.core.arrays import ClassIndices, Targets
from layerfuse.core.errors import check_option
from layerfuse.core.scores import LayerScores
from layerfuse.extract import embed_to_store, store_at
from layerfuse.fuse import FUSIONS, FusionName, GatedFusion, fusion_name
from layerfuse.meter import Meter
from layerfuse.report.baselines import RESULT, Predicted, predict_all
from layerfuse.report.choices import backbone_marginals, smaller_choices
from layerfuse.report.costs import FitCosts, Overheads
from layerfuse.report.curve import check_curve, learning_curve
from layerfuse.report.document import Report
from layerfuse.report.facts import (
    CurvePoint,
    LayerLine,
    Mistake,
    Quality,
    Seeds,
    SourceGate,
    SourcePair,
)
from layerfuse.report.measure import measure_prediction
from layerfuse.report.metrics import reliability
from layerfuse.report.mistakes import find_mistakes
from layerfuse.report.pairs import source_pairs
from layerfuse.report.quality import class_table, gain_over, quality
from layerfuse.report.split import Split
from layerfuse.report.trial import Trial
from layerfuse.score import CRITERIA, CriterionName, score_layers

_OUR_OWN = {"fusion", "without words"}  # variants of the result, not what it has to beat
_PACKAGES = ("layerfuse", "torch", "transformers", "scikit-learn", "numpy")


def compare(
    classifier: FusionClassifier,
    texts: Any,
    labels: Any,
    test_texts: Any,
    test_labels: Any,
    *,
    name: str = "texts",
    fusions: Sequence[FusionName] = (),
    criteria: Sequence[CriterionName] = (),
    seeds: Sequence[int] = (),
    curve: Sequence[int] = (),
    n_draws: int = 5,
    costs: bool = True,
) -> Report:
    """Fit a classifier and every baseline on the same texts, and compare them on test texts.

    Parameters
    ----------
    classifier : FusionClassifier
        Is fitted here, on the training texts alone.
    texts, labels : columns of shape (text,)
        To train on; as in ``FusionClassifier.fit``.
    test_texts, test_labels : columns of shape (test text,)
        Nothing is fitted on them or chosen by them.
    name : str
        Of the data, for titles.
    fusions : sequence of FusionName
        To stand beside the classifier's own, each on the layers it chose.
    criteria : sequence of CriterionName
        To be compared with the classifier's own by the order they give to layers.
    seeds : sequence of int
        The classifier is fitted again with each as its ``random_state``.
    curve : sequence of int
        Texts a class: the classifier is fitted on ``n_draws`` draws of so many.
    n_draws : int
        For ``curve``.
    costs : bool
        Measure what predicting costs, and what fewer backbones would give.

    Returns
    -------
    Report
        ``print`` shows its table, ``save_report`` writes a page.

    Raises
    ------
    DataError, LabelError, ShapeError, UnknownOptionError
        If texts, labels or options are not what they should be; before anything is loaded.
    """
    split = Split.of(texts, labels, test_texts, test_labels)
    for fusion in fusions:
        check_option("fusions", fusion, FUSIONS)
    for criterion in criteria:
        check_option("criteria", criterion, CRITERIA)
    check_curve(curve, n_draws)
    backbones = classifier.load_backbones()
    with store_at(classifier.cache) as store:
        with Meter() as extraction:
            train, test = (
                [embed_to_store(b, part, store, progress=classifier.progress) for b in backbones]
                for part in (split.texts, split.test_texts)
            )
        with Meter() as fit:
            trial = Trial.fit(classifier, split, train, test)
        with Meter() as comparison:
            predicted = tuple(predict_all(trial, fusions))
        accuracies = (
            trial.accuracy(predicted[-1].probabilities),
            *(one.accuracy(one.result()) for one in map(trial.again, seeds)),
        )
        spent = [meter.overhead() for meter in (extraction, fit, comparison)]
        fitting = FitCosts(
            extraction_seconds=spent[0].wall_seconds,
            fit_seconds=spent[1].wall_seconds,
            comparison_seconds=spent[2].wall_seconds,
            peak_memory_bytes=max(one.peak_memory_bytes for one in spent),
            cache_bytes=0 if classifier.cache is None else _embedding_bytes(trial),
        )
        return _report(
            trial,
            predicted,
            name,
            Seeds(tuple(int(seed) for seed in (classifier.random_state, *seeds)), accuracies),
            learning_curve(trial, curve, n_draws),
            _agreement(trial, criteria),
            _measured(trial, fitting) if costs else Overheads(fitting),
        )


def _report(
    trial: Trial,
    predicted: Sequence[Predicted],
    name: str,
    seeds: Seeds,
    curve: tuple[CurvePoint, ...],
    agreement: dict[str, dict[str, float]],
    overhead: Overheads,
) -> Report:
    fitted, truth = trial.classifier, trial.truth
    names = [str(label) for label in fitted.classes_.tolist()]
    result = predicted[-1].probabilities
    classes = result.argmax(1)
    rows = [quality(p.name, p.kind, p.probabilities, truth, result) for p in predicted[:-1]]
    best = max((row for row in rows if row.kind not in _OUR_OWN), key=_accuracy)
    strongest = predicted[rows.index(best)].probabilities.argmax(1)
    return Report(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={package: version(package) for package in _PACKAGES},
        data=trial.split.facts(name),
        result=quality(RESULT, "result", result, truth),
        baselines=tuple(rows),
        gain=gain_over(classes == truth, strongest == truth),
        best_baseline=best.name,
        classes=class_table(classes, truth, names),
        confusion=_confusion(classes, truth, len(names)),
        selection=tuple(str(ref) for ref in fitted.selection_),
        reason=fitted.selection_.reason,
        criterion=fitted.scores_.criterion,
        layers=_layer_lines(fitted),
        fusion=fusion_name(fitted.fusion_),
        head=fitted.head_.kind,
        lexical=fitted.head_.lexical is not None,
        overhead=overhead,
        reliability=reliability(result, truth),
        mistakes=_mistakes(trial, result, names),
        pairs=_pairs(trial, predicted),
        gates=_gates(trial),
        agreement=agreement,
        curve=curve,
        seeds=seeds,
    )


def _accuracy(row: Quality) -> float:
    return row.accuracy


def _confusion(
    predicted: ClassIndices, truth: ClassIndices, n_classes: int
) -> tuple[tuple[int, ...], ...]:
    counts = confusion_matrix(truth, predicted, labels=np.arange(n_classes))
    return tuple(tuple(row) for row in counts.tolist())


def _layer_lines(classifier: FusionClassifier) -> tuple[LayerLine, ...]:
    scores, chosen = classifier.scores_, set(classifier.selection_.refs)
    errors = scores.standard_errors or (math.nan,) * len(scores.refs)
    lines = []
    for backbone, pooling in dict.fromkeys((ref.backbone, ref.pooling) for ref in scores.refs):
        own = sorted(
            (ref, value, error)
            for ref, value, error in zip(scores.refs, scores.values, errors, strict=True)
            if (ref.backbone, ref.pooling) == (backbone, pooling)
        )
        lines.append(
            LayerLine(
                backbone,
                pooling,
                tuple(ref.layer for ref, _, _ in own),
                tuple(value for _, value, _ in own),
                tuple(error for _, _, error in own) if scores.standard_errors else (),
                tuple(ref in chosen for ref, _, _ in own),
            )
        )
    return tuple(lines)


def _mistakes(trial: Trial, probabilities: Targets, names: Sequence[str]) -> tuple[Mistake, ...]:
    train, test = trial.rows_of(trial.classifier.scores_.best)
    split = trial.split
    return find_mistakes(
        split.texts,
        train,
        trial.supervision.labels,
        split.test_texts,
        test,
        trial.truth,
        probabilities,
        names,
    )


def _pairs(trial: Trial, predicted: Sequence[Predicted]) -> tuple[SourcePair, ...]:
    classes = {
        row.ref: row.probabilities.argmax(1)
        for row in predicted
        if row.kind == "best layer" and row.ref is not None
    }
    return source_pairs(trial.test, classes, trial.truth)


def _gates(trial: Trial) -> tuple[SourceGate, ...]:
    fusion, selection = trial.classifier.fusion_, trial.classifier.selection_
    if not isinstance(fusion, GatedFusion):
        return ()
    gates = read_gates(fusion, selection, [read_blocks(trial.test, selection)])
    low, high = np.quantile(gates.weights, [0.05, 0.95], axis=0).tolist()
    means = gates.weights.mean(0).tolist()
    return tuple(map(SourceGate, gates.names, means, low, high))


def _agreement(trial: Trial, criteria: Sequence[CriterionName]) -> dict[str, dict[str, float]]:
    """Return the rank correlation of every two criteria over all layers."""
    own = trial.classifier.scores_
    names = [name for name in dict.fromkeys(criteria) if name != own.criterion]
    if not names:
        return {}
    labels, random_state = trial.split.labels, trial.classifier.random_state
    signals = gather_signals(trial.train, labels, names, random_state=random_state)
    scores = [own, *(score_layers(trial.train, labels, name, signals=signals) for name in names)]
    return {
        one.criterion: {other.criterion: _rank_correlation(one, other) for other in scores}
        for one in scores
    }


def _rank_correlation(one: LayerScores, other: LayerScores) -> float:
    """Return Spearman's correlation; 0 where one of the two puts all layers alike."""
    if len(set(one.values)) == 1 or len(set(other.values)) == 1:
        return 0.0
    return float(spearmanr(one.values, other.values).statistic)


def _measured(trial: Trial, fitting: FitCosts) -> Overheads:
    """Measure what predicting costs, with all backbones in use and with fewer."""
    classifier, split = trial.classifier, trial.split
    used = [own for own in trial.train if own.backbone in classifier.selection_.backbones]
    choices = smaller_choices(
        classifier,
        trial.train,
        split.labels,
        trial.test,
        split.test_labels,
        [measure_costs(own.model, split.texts) for own in used],
    )
    return Overheads(
        fit=fitting,
        prediction=measure_prediction(
            classifier,
            split.test_texts,
            whole_parameters=sum(own.model.n_parameters for own in used),
        ),
        choices=choices,
        marginals=backbone_marginals(choices),
    )


def _embedding_bytes(trial: Trial) -> int:
    n_texts = len({*trial.split.texts, *trial.split.test_texts})
    widths = (len(own.refs) * own.model.spec.hidden_size for own in trial.train)
    return n_texts * sum(widths) * np.dtype(np.float32).itemsize
