"""Tables of predictions on the test texts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from layerfuse.report.contents.answer import first_fold
from layerfuse.report.contents.numbers import percent
from layerfuse.report.contents.table import Table
from layerfuse.report.document import Report
from layerfuse.report.facts import BEST_OF_ALL, Quality

MOST_CLASSES = 12  # of which the confusion matrix is shown with numbers
_MOST_CONFUSIONS = 10


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the method, and the quality that it reaches.

    Parameters
    ----------
    name : str
        Name of the step.
    quality : Quality
        Metrics of the classifier after this step.
    by_tests : bool
        Whether it is the best on the test texts of several classifiers for this step.
    """

    name: str
    quality: Quality
    by_tests: bool = False


def steps(report: Report) -> tuple[Step, ...]:
    """Return the steps of the method, starting with the backbone that has the best layer.

    Parameters
    ----------
    report : Report
        Report to read.

    Returns
    -------
    tuple of Step
        Last layer, single layer, layers of one backbone fused, backbones fused, TF-IDF head
        added; steps that were not fitted are left out. The last step is the result. If folds found
        their best layers in different backbones, the last layer is the best on the test texts.
    """
    lasts, bests = _of_kind(report, "last layer"), _of_kind(report, "best layer")
    of_all = [row for row in bests if row.name == BEST_OF_ALL]
    # The backbone of the best layer has a row with the same numbers, unless folds differ.
    same = [row for row in bests if of_all and replace(row, name=BEST_OF_ALL) == of_all[0]]
    names = [f"{row.name.removesuffix(', best layer')}, last layer" for row in same]
    single = (
        *_step("last layer", [row for row in lasts if row.name in names] or lasts),
        *_step("best single layer", of_all or bests),
        *_step("layers of one backbone fused", _of_kind(report, "one backbone")),
    )
    fused = "backbones fused" if _of_kind(report, "one backbone") else "layers fused"
    without_words = _of_kind(report, "without words")
    if report.lexical and without_words:
        return (*single, Step(fused, without_words[0]), Step("TF-IDF head added", report.result))
    return (*single, Step(fused, report.result))


def _of_kind(report: Report, kind: str) -> list[Quality]:
    return [row for row in report.baselines if row.kind == kind]


def _step(name: str, rows: Sequence[Quality]) -> tuple[Step, ...]:
    """Return the step with the most accurate of some rows; empty if there is no row."""
    best = max(rows, key=lambda row: row.accuracy, default=None)
    return () if best is None else (Step(name, best, by_tests=len(rows) > 1),)


def step_table(report: Report) -> Table:
    """Return what each step adds to the accuracy."""
    taken = steps(report)
    befores = (None, *(step.quality.accuracy for step in taken[:-1]))
    by_tests = " and ".join(step.name for step in taken if step.by_tests)
    return Table(
        "What each step adds",
        ("step", "classifier", "accuracy", "gain, points"),
        tuple(
            (
                step.name,
                step.quality.name,
                percent(step.quality.accuracy),
                "" if before is None else f"{100 * (step.quality.accuracy - before):+.1f}",
            )
            for step, before in zip(taken, befores, strict=True)
        ),
        f"Chosen as the best of several on the test texts, which favours it: {by_tests}."
        if by_tests
        else "",
    )


def gain_table(report: Report) -> Table:
    """Return the gain of the result over every baseline."""
    return Table(
        "Gain of the result over every baseline, in points of accuracy",
        ("baseline", "gain", "lowest", "highest", "McNemar p"),
        tuple(
            (
                baseline.name,
                f"{gain.points:+.1f}",
                f"{gain.low:+.1f}",
                f"{gain.high:+.1f}",
                f"{gain.mcnemar_p:.2g}",
            )
            for baseline in report.baselines
            if (gain := baseline.gain) is not None
        ),
        f"The best baseline is {report.best_baseline}; it was picked on these test texts, which "
        "favours it. Where an interval includes 0, the difference is not significant.",
    )


def calibration_table(report: Report) -> Table:
    """Return log loss, Brier score and calibration error of every classifier."""
    return Table(
        "Quality of the probabilities of every classifier (lower is better)",
        ("classifier", "log loss", "Brier score", "calibration error"),
        tuple(
            (q.name, f"{q.log_loss:.3f}", f"{q.brier:.3f}", f"{q.calibration_error:.3f}")
            for q in (report.result, *report.baselines)
        ),
    )


def reliability_table(report: Report) -> Table:
    """Return the accuracy of predictions by their confidence."""
    return Table(
        "Test texts by the confidence of their prediction",
        ("confidence", "accuracy", "texts"),
        tuple(
            (percent(b.confidence), percent(b.accuracy), f"{b.n_texts:,}")
            for b in report.reliability
        ),
    )


def class_table(report: Report) -> Table:
    """Return the metrics of the result for each class."""
    return Table(
        "The result class by class",
        ("class", "test texts", "precision", "recall", "F1"),
        tuple(
            (c.label, f"{c.n_texts:,}", percent(c.precision), percent(c.recall), percent(c.f1))
            for c in report.classes
        ),
    )


def confusion_table(report: Report) -> Table:
    """Return the whole confusion matrix, or with many classes the most frequent confusions."""
    labels = report.data.classes
    if len(labels) <= MOST_CLASSES:
        return Table(
            "Test texts by true class (row) and predicted class (column)",
            ("true class", *labels),
            tuple(
                (label, *(f"{n:,}" for n in row))
                for label, row in zip(labels, report.confusion, strict=False)  # may be empty
            ),
        )
    confused = [
        (n, true, predicted)
        for true, row in enumerate(report.confusion)
        for predicted, n in enumerate(row)
        if n and true != predicted
    ]
    worst = sorted(confused, key=lambda confusion: -confusion[0])[:_MOST_CONFUSIONS]
    return Table(
        "The most frequent confusions",
        ("true class", "predicted class", "test texts"),
        tuple((labels[true], labels[predicted], f"{n:,}") for n, true, predicted in worst),
    )


def curve_table(report: Report) -> Table:
    """Return the accuracy by number of training texts."""
    return Table(
        "Accuracy by number of training texts",
        ("classifier", "training texts", "draws", "mean accuracy", "lowest", "highest"),
        tuple(
            (
                point.name,
                f"{point.n_texts:,}",
                f"{len(point.accuracy)}",
                percent(sum(point.accuracy) / len(point.accuracy)),
                percent(min(point.accuracy)),
                percent(max(point.accuracy)),
            )
            for point in report.curve
        ),
        first_fold(report),
    )


def seed_table(report: Report) -> Table:
    """Return how result and baselines vary with the seed; without rows if there is only one."""
    seeds = report.seeds
    result = np.array(seeds.accuracy)
    rows = [("layerfuse", result), *((r.name, np.array(r.accuracy)) for r in seeds.baselines)]
    return Table(
        f"Fitted under {len(seeds.seeds)} seeds: {', '.join(map(str, seeds.seeds))}",
        ("classifier", "mean accuracy", "lowest", "highest", "gain of layerfuse, points"),
        tuple(
            (
                name,
                percent(float(accuracy.mean())),
                percent(float(accuracy.min())),
                percent(float(accuracy.max())),
                "" if accuracy is result else _points(result - accuracy),
            )
            for name, accuracy in rows
            if len(seeds.seeds) > 1
        ),
    )


def _points(gains: np.ndarray) -> str:
    mean, low, high = (100 * float(f(gains)) for f in (np.mean, np.min, np.max))
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"
