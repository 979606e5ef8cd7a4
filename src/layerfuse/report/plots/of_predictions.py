"""Plots of predictions on the test texts, and of their costs."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from layerfuse.report.contents.predictions import MOST_CLASSES, steps
from layerfuse.report.costs import Choice
from layerfuse.report.document import Report
from layerfuse.report.drawing import COLOURS, DASHES, Ticks, enclose
from layerfuse.report.facts import CurvePoint
from layerfuse.report.plots import heatmap, rows
from layerfuse.report.plots.points import Point, Scale, Series, points_plot, scale
from layerfuse.report.trade import knee, pareto_front

_UP, _DOWN = COLOURS[2], COLOURS[3]
_LEAST_RADIUS = 2.0  # of a visible point
_TICK_DISTANCE = 0.12  # least distance of two tick labels, as a share of the width


def gain_plot(report: Report) -> str:
    """Draw the gain of the result over every baseline, with its interval."""
    drawn = [
        rows.Row(
            quality.name,
            (rows.Mark(quality.gain.points, "gain", colour=_colour(quality.gain.points)),),
            (quality.gain.low, quality.gain.high),
            f"{quality.gain.points:+.1f}",
            _colour(quality.gain.points),
        )
        for quality in report.baselines
        if quality.gain is not None
    ]
    title = "points gained (bar: 95 % interval)"
    return rows.rows_plot("Gain of the result over every baseline", drawn, title, reference=0.0)


def waterfall(report: Report) -> str:
    """Draw how much each step raises or lowers the accuracy."""
    taken = steps(report)
    first = taken[0].quality.accuracy
    start = rows.Mark(first, "accuracy after the step")
    drawn = [rows.Row(taken[0].name, (start,), note=f"{first:.1%}")]
    for previous, step in pairwise(taken):
        before, after = previous.quality.accuracy, step.quality.accuracy
        change = after - before
        drawn.append(
            rows.Row(
                step.name,
                (rows.Mark(after, "accuracy after the step"),),
                (before, after),
                f"{100 * change:+.1f} to {after:.1%}",
                _colour(change),
            )
        )
    title = "accuracy on the test texts (the axis does not begin at 0)"
    return rows.rows_plot("What each step adds to the accuracy", drawn, title, percent=True)


def _colour(change: float) -> str:
    return _UP if change >= 0 else _DOWN


def confusion_map(report: Report) -> str:
    """Draw the confusion matrix, with cells shaded by their share of the row."""
    labels = report.data.classes
    few = len(labels) <= MOST_CLASSES
    if few:
        title = "predicted class, by its number"
    elif len(labels) <= heatmap.MOST_NAMED_ROWS:
        title = "predicted class, in the order of the rows"
    else:
        title = "rows and columns in the order of the table of classes"
    drawn = [
        heatmap.Row(
            heatmap.with_number(i, label),
            tuple(
                heatmap.Cell(
                    n / max(1, sum(row)),
                    f"{label}, predicted as {labels[j]}: {n:,}",
                    f"{n:,}" if few else "",
                )
                for j, n in enumerate(row)
            ),
        )
        for i, (label, row) in enumerate(zip(labels, report.confusion, strict=True), 1)
    ]
    return heatmap.heatmap(
        "Heat map: test texts by true class (row) and predicted class (column)",
        drawn,
        title,
        ("no text of the class", "all texts of the class"),
        columns=[f"{i}" for i in range(1, len(labels) + 1)] if few else (),
    )


def reliability_plot(report: Report) -> str:
    """Draw accuracy against confidence of the predictions."""
    bins = report.reliability
    most = max(1, *(b.n_texts for b in bins))
    points = tuple(
        Point(
            b.confidence,
            b.accuracy,
            f"{b.confidence:.1%}: {b.accuracy:.1%} of {b.n_texts:,}",
            radius=max(_LEAST_RADIUS, 10 * math.sqrt(b.n_texts / most)),
        )
        for b in bins
    )
    values = [v for b in bins for v in (b.confidence, b.accuracy)]
    low, high = max(0.0, min(values) - 0.05), 1.0
    ideal = Series(
        "perfect calibration",
        (Point(low, low, "perfect calibration"), Point(high, high, "perfect calibration")),
        COLOURS[-1],
        DASHES[1],
    )
    return points_plot(
        "Reliability: accuracy by confidence",
        [ideal, Series("predicted; area: number of texts", points, is_joined=False)],
        scale("confidence", (low, high), percent=True),
        scale("accuracy", (low, high), percent=True),
        height=260.0,
    )


def learning_curve(report: Report) -> str:
    """Draw accuracy by number of training texts; the result comes last and covers the others."""
    distinct = dict.fromkeys(p.name for p in report.curve)
    names = sorted(distinct, key=lambda name: name == report.result.name)
    series = [
        _curve(name, [p for p in report.curve if p.name == name], i) for i, name in enumerate(names)
    ]
    sizes = sorted({point.n_texts for point in report.curve})
    low, high = enclose(math.log10(n) for n in sizes)
    return points_plot(
        "Learning curve: accuracy by number of training texts",
        series,
        Scale(
            "training texts (logarithmic)",
            low,
            high,
            _thinned(sizes, _TICK_DISTANCE * (high - low)),
        ),
        scale("accuracy", (a for p in report.curve for a in p.accuracy), percent=True),
    )


def _curve(name: str, points: Sequence[CurvePoint], i: int) -> Series:
    drawn, spread = [], []
    for point in sorted(points, key=lambda point: point.n_texts):
        mean = sum(point.accuracy) / len(point.accuracy)
        words = f"{name}, {point.n_texts:,} training texts: {mean:.1%}"
        drawn.append(Point(math.log10(point.n_texts), mean, words))
        spread.append((min(point.accuracy), max(point.accuracy)))
    colour, dash = COLOURS[i % len(COLOURS)], DASHES[i % len(DASHES)]
    return Series(name, tuple(drawn), colour, dash, band=tuple(spread))


def _thinned(sizes: Sequence[int], apart: float) -> Ticks:
    """Return ticks at the logarithms of sizes, from the largest down, at least ``apart`` apart."""
    kept: list[tuple[float, str]] = []
    for size in reversed(sizes):
        place = math.log10(size)
        if not kept or kept[-1][0] - place >= apart:
            kept.append((place, f"{size:,}"))
    return kept


def marginal_plot(report: Report) -> str:
    """Draw what each backbone adds to all others."""
    drawn = [
        rows.Row(
            f"{marginal.name}, {marginal.milliseconds:.1f} ms a text",
            (),
            (0.0, 100 * marginal.held_out_gain),
            f"{100 * marginal.held_out_gain:+.2f}",
            _colour(marginal.held_out_gain),
        )
        for marginal in report.overhead.marginals
    ]
    title = "held-out accuracy with it minus without it, points"
    return rows.rows_plot("What each backbone adds to the others", drawn, title, reference=0.0)


def cost_plot(report: Report, title: str, cost: Callable[[Choice], float]) -> str:
    """Draw held-out accuracy of all sets of backbones against one cost, with the Pareto front.

    Parameters
    ----------
    report : Report
        Report with choices.
    title : str
        The cost and its unit.
    cost : callable
        Returns the cost of a choice.
    """
    choices = sorted(enumerate(report.overhead.choices, 1), key=lambda pair: cost(pair[1]))
    traded = [(choice.held_out_accuracy, cost(choice)) for _, choice in choices]
    on_front, best_trade = pareto_front(traded), knee(traded)
    front, others = (
        tuple(
            Point(
                cost(choice),
                choice.held_out_accuracy,
                f"{' + '.join(choice.backbones)}: {choice.held_out_accuracy:.1%}, "
                f"{title} {cost(choice):.4g}",
                f"{i}",
                position == best_trade,
            )
            for position, (i, choice) in enumerate(choices)
            if on_front[position] is wanted
        )
        for wanted in (True, False)
    )
    series = [
        Series("not on the Pareto front", others, COLOURS[-1], is_joined=False),
        Series("Pareto front, knee ringed", front),
    ]
    return points_plot(
        f"Held-out accuracy of every set of backbones by {title}",
        [one for one in series if one.points],
        scale(title, (cost(choice) for _, choice in choices)),
        scale("held-out accuracy", (c.held_out_accuracy for _, c in choices), percent=True),
    )
