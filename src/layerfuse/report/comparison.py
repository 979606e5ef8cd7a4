"""``compare``: a classifier beside its baselines on test texts, in a ``Report``."""

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
from layerfuse.core.texts import as_list, encodable
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
from layerfuse.report.folds import fold_splits, joined, pooled_facts
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

# Variants of the result, not what it has to beat.
_OUR_OWN = {"fusion", "one backbone", "without words"}
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
        Is fitted here, on the training texts alone.
    texts, labels : columns of shape (text,)
        To train on; as in ``FusionClassifier.fit``.
    test_texts, test_labels : columns of shape (test text,), optional
        Nothing is fitted on them or chosen by them. Default: cross-validation.
    folds : int
        Without test texts each of so many folds is tested on by a classifier, and baselines, fitted
        on all others; all predictions together are the result. The classifier itself is fitted on
        all texts in the end, and layers, gates and costs are its own. What is drawn of a single
        test set, the learning curve and the trade of accuracy for costs, is of the first fold.
    groups : column of shape (text,), optional
        Texts of one group, such as an author, stay in one fold.
    name : str
        Of the data, for titles.
    fusions : sequence of FusionName
        To stand beside the classifier's own, each on the layers it chose.
    criteria : sequence of CriterionName
        To be compared with the classifier's own by the order they give to layers.
    seeds : sequence of int
        Classifier and baselines are fitted again with each as the ``random_state``; none twice, and
        not the classifier's own, which is the first.
    curve : sequence of int
        Texts a class: the classifier is fitted on ``n_draws`` draws of so many; the last point is
        that of all texts.
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
            peak_memory_bytes=max(one.peak_memory_bytes for one in spent),
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
    """Raise unless all are seeds, each once: a fit repeated would pass for one more."""
    check_seed("random_state", first)
    for seed in others:
        check_seed("seeds", seed)
    if len({first, *others}) <= len(others):
        raise UnknownOptionError(
            f"seeds={list(others)}: expected each once, and none that is the classifier's "
            f"random_state, {first}, which is fitted first."
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
    """Return all texts, and the splits that are trained and tested on; the same without folds."""
    if (test_texts is None) != (test_labels is None):
        raise DataError("Expected test texts with their labels, got one without the other.")
    if test_texts is None:
        own = as_list(texts, "texts"), as_list(labels, "labels")  # a generator is read once
        splits = fold_splits(*own, folds, groups=groups, random_state=random_state)
        return joined(*own, splits), splits
    if groups is not None:
        raise DataError("Groups are for cross-validation; leave them out beside test texts.")
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
    known = (row.name for row in predicted if all(row.name in one for one in by_seed))
    rows = {name: tuple(one[name] for one in by_seed) for name in known}
    accuracy = rows.pop(RESULT)
    baselines = tuple(SeededBaseline(name, own) for name, own in rows.items()) if seeds else ()
    used = tuple(int(seed) for seed in (lead.classifier.random_state, *seeds))
    return Seeds(used, accuracy, baselines)


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
    others = (row for row in rows if row.kind not in _OUR_OWN)
    best = max(others, key=lambda row: row.accuracy)
    confusion = confusion_matrix(truth, classes, labels=np.arange(len(names)))
    strongest = predicted[rows.index(best)].probabilities.argmax(1)
    return Report(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={package: version(package) for package in _PACKAGES},
        data=data,
        result=quality(RESULT, "result", result, truth),
        baselines=tuple(rows),
        gain=gain_over(classes == truth, strongest == truth),
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
            own.backbone: own.model.spec.prompt for own in lead.train if own.model.spec.prompt
        },
    )


def _pairs(lead: Trial, predicted: Sequence[Predicted]) -> tuple[SourcePair, ...]:
    """Compare backbones by their best layers; in cross-validation each fold has found its own."""
    by_name = {row.name: row.probabilities.argmax(1) for row in predicted}
    classes = {ref: by_name[f"{ref.backbone}, best layer"] for ref in best_layers(lead)}
    return source_pairs(lead.test, classes, lead.truth)


def _measured_if_possible(lead: Trial, trial: Trial, fitting: FitCosts) -> Overheads:
    """Measure costs, or say why there are none: all that was fitted is worth more than they are."""
    try:
        return _measured(lead, trial, fitting)
    except (OSError, ReportError) as err:
        warnings.warn(f"The report leaves out the cost of prediction: {err}", stacklevel=4)
        return Overheads(fitting)


def _measured(lead: Trial, trial: Trial, fitting: FitCosts) -> Overheads:
    """Measure what predicting costs, and what fewer backbones or layers would give.

    Parameters
    ----------
    lead : Trial
        Of the classifier.
    trial : Trial
        The same one, or of a fold, since fewer backbones are tried on texts that are held out.
    fitting : FitCosts
        Measured already.
    """
    in_use = lead.classifier.selection_.backbones
    tried = {*in_use, *trial.classifier.selection_.backbones}
    by_depth = [
        measure_costs(own.model, lead.split.texts) for own in lead.train if own.backbone in tried
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
                own.model.n_parameters for own in lead.train if own.backbone in in_use
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
