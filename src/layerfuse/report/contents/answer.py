"""The summary of a report: three sentences, a warning about leaked texts, and the main table."""

from layerfuse.report.contents.numbers import count, interval, mebibytes, p_value, percent
from layerfuse.report.contents.table import Table
from layerfuse.report.document import Report
from layerfuse.report.facts import Quality

_ALPHA = 0.05  # significance level of McNemar's p, like that of the 95 % interval


def sentences(report: Report) -> tuple[str, ...]:
    """Return sentences on the accuracy of the result, its gain and its costs.

    Parameters
    ----------
    report : Report
        Report to summarise.

    Returns
    -------
    tuple of str
        Three sentences; the last is left out if costs of prediction were not measured.
    """
    summary = (_accuracy(report), _gain(report), _costs(report))
    return tuple(sentence for sentence in summary if sentence)


def _accuracy(report: Report) -> str:
    result, data = report.result, report.data
    texts = (
        f"{data.n_test:,} texts correctly in {data.n_folds}-fold cross-validation"
        if data.n_folds
        else f"{data.n_test:,} test texts correctly"
    )
    return (
        f"On {data.name}, layerfuse predicts {percent(result.accuracy)} of {texts} (95 % interval "
        f"{interval(result.accuracy_low, result.accuracy_high)})."
    )


def _gain(report: Report) -> str:
    gain, best = report.gain, report.best_baseline
    sure = f"95 % interval {gain.low:+.1f} to {gain.high:+.1f}, McNemar p {p_value(gain.mcnemar_p)}"
    # Significant only if both agree; with few texts they may not.
    if gain.low <= 0 <= gain.high or gain.mcnemar_p >= _ALPHA:
        return (
            f"The difference of {gain.points:+.1f} points from the best baseline, {best}, is "
            f"not significant ({sure})."
        )
    side = "more" if gain.points > 0 else "less"
    return f"That is {abs(gain.points):.1f} points {side} than the best baseline, {best} ({sure})."


def _costs(report: Report) -> str:
    costs = report.overhead.prediction
    if costs is None:
        return ""
    return (
        f"Predicting takes {costs.latency_p50_ms:.1f} ms for one text alone, or "
        f"{1000 / costs.texts_per_second:.1f} ms a text for many at once; the cut backbones keep "
        f"{count(costs.n_parameters_kept)} of their {count(costs.n_parameters_total)} parameters "
        f"({mebibytes(costs.weight_bytes)} of weights)."
    )


def leak_warning(report: Report) -> str:
    """Return a warning about test texts that occur in the training texts; "" if there are none."""
    n_leaked, n_test = report.data.n_leaked, report.data.n_test
    if not n_leaked:
        return ""
    return (
        f"{n_leaked:,} of {n_test:,} test texts ({n_leaked / n_test:.1%}) also occur in the "
        "training texts, so all numbers here are too optimistic for new texts."
    )


def first_fold(report: Report) -> str:
    """Return a note for accuracies that cover only the first fold; "" without folds."""
    return "These accuracies are those of the first fold." if report.data.n_folds else ""


def quality_table(report: Report) -> Table:
    """Return the metrics of the result and all baselines, in the order they were fitted."""
    return Table(
        "The result, its baselines and its variants on the test texts",
        (
            "classifier",
            "accuracy",
            "95 % interval",
            "macro-F1",
            "log loss",
            "gain of the result, points",
        ),
        tuple(_row(quality) for quality in (report.result, *report.baselines)),
    )


def _row(quality: Quality) -> tuple[str, ...]:
    gain = quality.gain
    return (
        quality.name,
        percent(quality.accuracy),
        interval(quality.accuracy_low, quality.accuracy_high),
        percent(quality.macro_f1),
        f"{quality.log_loss:.3f}",
        "" if gain is None else f"{gain.points:+.1f} ({gain.low:+.1f} to {gain.high:+.1f})",
    )


def short_table(report: Report) -> Table:
    """Return the same table with columns narrow enough for a terminal."""
    full = quality_table(report)
    qualities = (report.result, *report.baselines)
    gains = ["" if quality.gain is None else f"{quality.gain.points:+.1f}" for quality in qualities]
    return Table(
        full.caption,
        (*full.headers[:-1], "gain"),
        tuple((*row[:-1], gain) for row, gain in zip(full.rows, gains, strict=True)),
    )
