"""Tables of costs and of the data."""

import math

from layerfuse.report.choices import MAX_TEXTS
from layerfuse.report.contents.answer import first_fold
from layerfuse.report.contents.numbers import count, mebibytes, percent
from layerfuse.report.contents.table import Table
from layerfuse.report.document import Report
from layerfuse.report.trade import knee, pareto_front


def prediction_table(report: Report) -> Table:
    """Return the costs of prediction; without rows if they were not measured."""
    costs = report.overhead.prediction
    rows = (
        ()
        if costs is None
        else (
            ("one text alone, median", f"{costs.latency_p50_ms:.1f} ms"),
            ("one text alone, 95th percentile", f"{costs.latency_p95_ms:.1f} ms"),
            ("many at once", f"{costs.texts_per_second:,.1f} texts a second"),
            ("floating point operations a text", f"{costs.flops_per_text / 1e9:,.2f} GFLOP"),
            ("parameters of the whole backbones", count(costs.n_parameters_total)),
            ("parameters of the backbones as cut", count(costs.n_parameters_kept)),
            ("parameters that were trained", count(costs.n_parameters_trained)),
            ("weights of the backbones as cut", mebibytes(costs.weight_bytes)),
            ("peak memory of the process", mebibytes(costs.peak_memory_bytes)),
            ("memory on top of everything loaded", mebibytes(costs.extra_memory_bytes)),
        )
    )
    return Table("Costs of predicting", ("cost", "measured"), rows)


def fit_table(report: Report) -> Table:
    """Return the costs of fitting and comparing."""
    costs = report.overhead.fit
    return Table(
        "Costs of fitting",
        ("cost", "measured"),
        (
            ("embedding the texts not in the cache", f"{costs.extraction_seconds:,.1f} s"),
            ("fitting", f"{costs.fit_seconds:,.1f} s"),
            ("comparing with the baselines", f"{costs.comparison_seconds:,.1f} s"),
            ("peak memory of the process", mebibytes(costs.peak_memory_bytes)),
            ("embeddings kept on disk", mebibytes(costs.cache_bytes)),
        ),
    )


def choice_table(report: Report) -> Table:
    """Return accuracy and cost of all sets of backbones, with the budgets of those on a front.

    Knees are marked if there is more than one set.
    """
    choices = report.overhead.choices
    several = len(choices) > 1
    light = [(choice.held_out_accuracy, float(choice.weight_bytes)) for choice in choices]
    on_light_front, light_knee = pareto_front(light), knee(light) + 1 if light else 0
    return Table(
        "Sets of backbones, and the limit of layerfuse fit --selector budget that each meets",
        (
            "backbones",
            "held-out accuracy",
            "test accuracy",
            "ms a text",
            "weights",
            "--max-ms, if on the time front",
            "--max-mb, if on the weight front",
        ),
        tuple(
            (
                f"{i}: {' + '.join(choice.backbones)}",
                percent(choice.held_out_accuracy),
                percent(choice.accuracy),
                f"{choice.milliseconds:.2f}",
                mebibytes(choice.weight_bytes),
                _limit(f"{_up(choice.milliseconds, 2):.2f}", several and choice.is_knee)
                if choice.on_front
                else "",
                _limit(f"{_up(choice.weight_bytes / 2**20, 1):.1f}", several and i == light_knee)
                if is_light
                else "",
            )
            for i, (choice, is_light) in enumerate(zip(choices, on_light_front, strict=True), 1)
        ),
        f"Every set is refitted without the TF-IDF head, on at most {MAX_TEXTS:,} training texts "
        "plus two more of each class, and timed without fusion and head, so rows may differ from "
        "the result. "
        f"{first_fold(report)}".rstrip(),
    )


def marginal_table(report: Report) -> Table:
    """Return what each backbone adds to all others."""
    return Table(
        "What each backbone adds to the others",
        ("backbone", "held-out gain, points", "ms a text"),
        tuple(
            (m.name, f"{100 * m.held_out_gain:+.2f}", f"{m.milliseconds:.2f}")
            for m in report.overhead.marginals
        ),
        first_fold(report),
    )


def layer_marginal_table(report: Report) -> Table:
    """Return what each layer adds to all others, in thousandths of the Brier score."""
    return Table(
        "What each layer in use adds to the others, in thousandths of the Brier score",
        ("layer", "gain", "standard error", "ms a text"),
        tuple(
            (
                m.name,
                f"{1000 * m.gain:+.2f}",
                f"{1000 * m.standard_error:.2f}",
                f"{m.milliseconds:.2f}",
            )
            for m in report.overhead.layer_marginals
        ),
        "How much the leave-one-out Brier score of a ridge classifier on training texts rises "
        "without the layer. Neighbouring layers can replace each other, so each alone may add "
        "little even where together they add much.",
    )


def _up(value: float, digits: int) -> float:
    """Round up, so that a set meets its own limit."""
    steps = 10.0**digits
    return math.ceil(value * steps) / steps


def _limit(value: str, is_knee: bool) -> str:  # noqa: FBT001 - part of the cell
    return f"{value} (knee)" if is_knee else value


def data_table(report: Report) -> Table:
    """Return the numbers of texts and labels, and the versions of packages."""
    data = report.data
    return Table(
        "Texts, labels and versions",
        ("what", "value"),
        (
            ("data set", data.name),
            ("training texts", f"{data.n_train:,}"),
            ("test texts", f"{data.n_test:,}"),
            *((("folds of cross-validation", f"{data.n_folds}"),) if data.n_folds else ()),
            ("classes", f"{len(data.classes):,}"),
            ("training texts that repeat another", f"{data.n_repeated:,}"),
            ("training texts repeated with another label", f"{data.n_conflicting:,}"),
            ("test texts that also occur in their training texts", f"{data.n_leaked:,}"),
            ("created", report.created),
            *((name, version) for name, version in report.versions.items()),
        ),
    )
