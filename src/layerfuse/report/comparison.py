"""``compare``: a classifier and its baselines on the same test texts, as a ``Report``."""

import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix

from layerfuse.backbone import measure_costs
from layerfuse.classifier import FusionClassifier
from layerfuse.classifier.options import check_seed, weight_by_index
from layerfuse.core.errors import DataError, ReportError, UnknownOptionError, check_option
from layerfuse.core.texts import encodable
from layerfuse.extract import store_at
from layerfuse.fuse import FUSIONS, FusionName, fusion_name
from layerfuse.meter import Meter
from layerfuse.report.baselines import RESULT, Predicted, best_layers, predict_pooled
from layerfuse.report.choices import backbone_marginals, smaller_choices
from layerfuse.report.costs import FitCosts, Overheads
from layerfuse.report.curve import check_curve, learning_curve
from layerfuse.report.document import Report
from layerfuse.report.facts import CurvePoint, DataFacts, SeededBaseline, Seeds, SourcePair
from layerfuse.report.fitted import criteria_agreement, layer_lines, source_gates
from layerfuse.report.folds import fold_splits, pooled_facts
from layerfuse.report.layer_marginals import layer_marginals
from layerfuse.report.measure import measure_prediction
from layerfuse.report.metrics import reliability
from layerfuse.report.mistakes import find_mistakes
from layerfuse.report.pairs import source_pairs
from layerfuse.report.quality import class_table, gain_over, quality
from layerfuse.report.split import Split
from layerfuse.report.trial import Trial, embed_split
from layerfuse.score import CRITERIA, CriterionName
from layerfuse.train import class_weights

# Kinds of rows that are variants of the result and do not count as baselines.
_VARIANTS = {"fusion", "one backbone", "without words"}
_PACKAGES = ("layerfuse", "torch", "transformers", "scikit-learn", "numpy")


def compare(
    classifier: FusionClassifier,
    texts: Any,
    labels: Any,
    test_texts: Any = None,
    test_labels: Any = None,
    *,
    folds: int = 5,
    groups: Any = None,
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
        It is fitted here, on the training texts alone.
    texts, labels : columns of shape (text,)
        Training texts and their labels, as in ``FusionClassifier.fit``.
    test_texts, test_labels : columns of shape (test text,), optional
        Nothing is fitted on them or chosen by them. Default: cross-validation.
    folds : int
        Folds of the cross-validation, used without test texts. Classifier and baselines are fitted
        on the other folds and predict this one; the predictions of all folds are the result. The
        final classifier is fitted on all texts, and the report shows its layers, gates and costs.
        The learning curve and the accuracy of smaller choices are those of the first fold.
    groups : column of shape (text,), optional
        Texts of one group, such as an author, stay in one fold.
    name : str
        Name of the data, for titles.
    fusions : sequence of FusionName
        Further fusions of the chosen layers, each reported as a row.
    criteria : sequence of CriterionName
        Further criteria, whose rankings of the layers are compared with the classifier's.
    seeds : sequence of int
        Further seeds: classifier and baselines are fitted again with each as ``random_state``.
        None may occur twice or equal the classifier's own, which comes first.
    curve : sequence of int
        Texts a class at each point of the learning curve; the last point uses all texts.
    n_draws : int
        Draws of texts at each point of the learning curve.
    costs : bool
        Measure what prediction costs and how accurate fewer backbones would be.

    Returns
    -------
    Report
        ``print`` shows its table, ``save_report`` writes its pages.

    Raises
    ------
    DataError, LabelError, ShapeError, UnknownOptionError
        If texts, labels or options are invalid; before any model is loaded.
    """
    if not isinstance(name, str):
        raise UnknownOptionError(f"name={name!r}: expected a string.")
    for fusion in fusions:
        check_option("fusions", fusion, FUSIONS)
    for criterion in criteria:
        check_option("criteria", criterion, CRITERIA)
    check_curve(curve, n_draws)
    _check_seeds(classifier.random_state, seeds)
    whole, splits = _splits(
        texts, labels, test_texts, test_labels, folds, groups, classifier.random_state
    )
    names, classes = np.unique(whole.labels, return_inverse=True)
    class_weights(classes, weight_by_index(classifier.class_weight, names.tolist()))
    backbones = classifier.load_backbones()
    with store_at(classifier.cache) as store:
        with Meter() as extraction:
            embedded = embed_split(whole, backbones, store, progress=classifier.progress)
        with Meter() as fit:
            lead = Trial.fit(classifier, whole, *embedded)
        with Meter() as comparison:
            trials = (lead,) if len(splits) == 1 else tuple(map(lead.on, splits))
            predicted = predict_pooled(trials, fusions)
        spent = [meter.overhead() for meter in (extraction, fit, comparison)]
        fitting = FitCosts(
            extraction_seconds=spent[0].wall_seconds,
            fit_seconds=spent[1].wall_seconds,
            comparison_seconds=spent[2].wall_seconds,
            peak_memory_bytes=max(overhead.peak_memory_bytes for overhead in spent),
            cache_bytes=0 if classifier.cache is None else _cache_bytes(lead),
        )
        return _report(
            trials,
            lead,
            predicted,
            pooled_facts(whole, splits, encodable(name)),
            _under_seeds(trials, lead, predicted, seeds, fusions),
            learning_curve(trials[0], curve, n_draws),
            criteria_agreement(lead, criteria),
            _measured_if_possible(lead, trials[0], fitting) if costs else Overheads(fitting),
        )


def _check_seeds(first: int, others: Sequence[int]) -> None:
    """Raise unless all are valid and distinct: a repeated fit would count as another one."""
    check_seed("random_state", first)
    for seed in others:
        check_seed("seeds", seed)
    if len({first, *others}) <= len(others):
        raise UnknownOptionError(
            f"seeds={list(others)}: expected distinct seeds without the classifier's random_state, "
            f"{first}, which is fitted first."
        )


def _splits(
    texts: Any,
    labels: Any,
    test_texts: Any,
    test_labels: Any,
    folds: int,
    groups: Any,
    random_state: int,
) -> tuple[Split, tuple[Split, ...]]:
    """Return the split of all texts and the splits to evaluate; without folds they are the same."""
    if (test_texts is None) != (test_labels is None):
        raise DataError("Expected test texts with their labels, got one without the other.")
    if test_texts is None:
        return fold_splits(texts, labels, folds, groups=groups, random_state=random_state)
    if groups is not None:
        raise DataError("groups are for cross-validation; with test texts, leave them out.")
    split = Split.of(texts, labels, test_texts, test_labels)
    return split, (split,)


def _under_seeds(
    trials: Sequence[Trial],
    lead: Trial,
    predicted: Sequence[Predicted],
    seeds: Sequence[int],
    fusions: Sequence[FusionName],
) -> Seeds:
    """Fit the classifier and every baseline again under other seeds, on the same texts."""
    by_seed = [{row.name: lead.accuracy(row.probabilities) for row in predicted}]
    for seed in seeds:
        again = predict_pooled([trial.again(seed) for trial in trials], fusions)
        by_seed.append({row.name: lead.accuracy(row.probabilities) for row in again})
    shared = (row.name for row in predicted if all(row.name in rows for rows in by_seed))
    accuracies = {name: tuple(rows[name] for rows in by_seed) for name in shared}
    result = accuracies.pop(RESULT)
    baselines = tuple(SeededBaseline(*row) for row in accuracies.items()) if seeds else ()
    used = tuple(int(seed) for seed in (lead.classifier.random_state, *seeds))
    return Seeds(used, result, baselines)


def _report(
    trials: Sequence[Trial],
    lead: Trial,
    predicted: Sequence[Predicted],
    data: DataFacts,
    seeds: Seeds,
    curve: tuple[CurvePoint, ...],
    agreement: dict[str, dict[str, float]],
    overhead: Overheads,
) -> Report:
    fitted, truth = lead.classifier, lead.truth
    names = [encodable(str(label)) for label in fitted.classes_.tolist()]
    result = predicted[-1].probabilities
    classes = result.argmax(1)
    rows = [quality(p.name, p.kind, p.probabilities, truth, result) for p in predicted[:-1]]
    baselines = (row for row in rows if row.kind not in _VARIANTS)
    best = max(baselines, key=lambda row: row.accuracy)
    confusion = confusion_matrix(truth, classes, labels=np.arange(len(names)))
    best_classes = predicted[rows.index(best)].probabilities.argmax(1)
    return Report(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={package: version(package) for package in _PACKAGES},
        data=data,
        result=quality(RESULT, "result", result, truth),
        baselines=tuple(rows),
        gain=gain_over(classes == truth, best_classes == truth),
        best_baseline=best.name,
        classes=class_table(classes, truth, names),
        confusion=tuple(map(tuple, confusion.tolist())),
        selection=tuple(str(ref) for ref in fitted.selection_),
        reason=fitted.selection_.reason,
        criterion=fitted.scores_.criterion,
        layers=layer_lines(fitted),
        fusion=fusion_name(fitted.fusion_),
        head=fitted.head_.kind,
        lexical=fitted.head_.lexical is not None,
        overhead=overhead,
        reliability=reliability(result, truth),
        mistakes=find_mistakes(trials, result, names),
        pairs=_pairs(lead, predicted),
        gates=source_gates(lead),
        agreement=agreement,
        curve=curve,
        seeds=seeds,
        prompts={
            stored.backbone: stored.model.spec.prompt
            for stored in lead.train
            if stored.model.spec.prompt
        },
    )


def _pairs(lead: Trial, predicted: Sequence[Predicted]) -> tuple[SourcePair, ...]:
    """Compare backbones by their best layers; in cross-validation each fold finds its own."""
    by_name = {row.name: row.probabilities.argmax(1) for row in predicted}
    classes = {ref: by_name[f"{ref.backbone}, best layer"] for ref in best_layers(lead)}
    return source_pairs(lead.test, classes, lead.truth)


def _measured_if_possible(lead: Trial, trial: Trial, fitting: FitCosts) -> Overheads:
    """Measure costs; if that fails, warn instead of losing everything that was fitted."""
    try:
        return _measured(lead, trial, fitting)
    except (OSError, ReportError) as err:
        warnings.warn(f"The report leaves out the cost of prediction: {err}", stacklevel=4)
        return Overheads(fitting)


def _measured(lead: Trial, trial: Trial, fitting: FitCosts) -> Overheads:
    """Measure what prediction costs, and what fewer backbones or layers would reach.

    Parameters
    ----------
    lead : Trial
        Trial of the final classifier.
    trial : Trial
        The same, or that of a fold, whose test texts are held out from the smaller choices.
    fitting : FitCosts
        Costs of fitting, already measured.
    """
    in_use = lead.classifier.selection_.backbones
    tried = {*in_use, *trial.classifier.selection_.backbones}
    by_depth = [
        measure_costs(stored.model, lead.split.texts)
        for stored in lead.train
        if stored.backbone in tried
    ]
    choices = smaller_choices(
        trial.classifier,
        trial.train,
        trial.supervision,
        trial.test,
        trial.truth,
        by_depth,
    )
    return Overheads(
        fit=fitting,
        prediction=measure_prediction(
            lead.classifier,
            lead.split.test_texts,
            whole_parameters=sum(
                stored.model.n_parameters for stored in lead.train if stored.backbone in in_use
            ),
        ),
        choices=choices,
        marginals=backbone_marginals(choices),
        layer_marginals=layer_marginals(
            lead.train,
            lead.classifier.selection_,
            lead.supervision,
            by_depth,
        ),
    )


def _cache_bytes(trial: Trial) -> int:
    return sum(
        train.store.disk_bytes(train.model.spec, np.concatenate([train.digests, test.digests]))
        for train, test in zip(trial.train, trial.test, strict=True)
    )
