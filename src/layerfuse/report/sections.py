"""Sections of the report page; each is a function that returns "" if it has nothing to show."""

from collections.abc import Callable
from dataclasses import replace

from layerfuse.core.escape import shortened
from layerfuse.report.contents import costs, layers, predictions
from layerfuse.report.contents.table import Table
from layerfuse.report.document import Report
from layerfuse.report.facts import Mistake
from layerfuse.report.markup import figure, folded, paragraph, table, words
from layerfuse.report.plots import of_layers, of_predictions

_TEXT, _NEIGHBOUR = 300, 150  # most characters shown of a test text and of a training text

Section = Callable[[Report], str]


def _tables(*contents: Callable[[Report], Table]) -> Section:
    """Return the section of some tables; one without rows is left out."""
    return lambda report: "".join(table(content(report)) for content in contents)


def _figure(content: Callable[[Report], Table], *plots: Section) -> Section:
    """Return the section of a table with its plots; nothing if the table has no rows."""

    def body(report: Report) -> str:
        numbers = content(report)
        return figure("".join(plot(report) for plot in plots), numbers) if numbers.rows else ""

    return body


def _steps(report: Report) -> str:
    if not report.baselines:
        return ""
    return figure(of_predictions.waterfall(report), predictions.step_table(report))


def _choices(report: Report) -> str:
    if not report.overhead.choices:
        return ""
    choices = costs.choice_table(report)
    if len(choices.rows) == 1:  # both plots would be a single point
        return table(choices)
    by_time = of_predictions.cost_plot(
        report, "ms a text, many at once", lambda choice: choice.milliseconds
    )
    by_weight = of_predictions.cost_plot(
        report, "MiB of weights", lambda choice: choice.weight_bytes / 2**20
    )
    note = "Each number is a set of backbones; the table lists the sets and their limits."
    return paragraph(note, "note") + figure(by_time + by_weight, choices)


def _layer_marginals(report: Report) -> str:
    if not report.overhead.layer_marginals:
        return ""
    content = costs.layer_marginal_table(report)
    numbers = table(replace(content, note=""))  # the note stays visible when they are folded
    return paragraph(content.note, "note") + folded("Layer by layer", numbers)


def _confusion(report: Report) -> str:
    if not report.confusion:
        return ""
    return figure(of_predictions.confusion_map(report), predictions.confusion_table(report))


def _probabilities(report: Report) -> str:
    if not report.reliability:
        return ""
    return figure(
        of_predictions.reliability_plot(report), predictions.reliability_table(report)
    ) + table(predictions.calibration_table(report))


def _mistakes(report: Report) -> str:
    if not report.mistakes:
        return ""
    note = "Most confident mistakes first, each with its nearest training texts."
    items = "".join(map(_mistake, report.mistakes))
    return f'{paragraph(note, "note")}<ol class="mistakes">\n{items}</ol>\n'


def _mistake(mistake: Mistake) -> str:
    near = "".join(
        f"<li>{words(n.label)}, similarity {n.similarity:.2f}: "
        f"{words(shortened(n.text, _NEIGHBOUR))}</li>\n"
        for n in mistake.neighbours
    )
    return (
        f"<li>Truth {words(mistake.truth)}, predicted {words(mistake.predicted)} with probability "
        f"{mistake.probability:.2f}\n"
        f"<blockquote>{words(shortened(mistake.text, _TEXT))}</blockquote>\n"
        + (folded("Nearest training texts", f"<ul>\n{near}</ul>\n") if near else "")
        + "</li>\n"
    )


SECTIONS: tuple[tuple[str, str, Section], ...] = (
    ("steps", "What each step adds", _steps),
    (
        "gains",
        "Gain over every baseline",
        _figure(predictions.gain_table, of_predictions.gain_plot),
    ),
    ("selection", "What the classifier is made of", _tables(layers.selection_table)),
    ("layers", "Layers", _figure(layers.layer_table, of_layers.layer_plot, of_layers.depth_map)),
    (
        "agreement",
        "Agreement between criteria",
        _figure(layers.agreement_table, of_layers.agreement_map),
    ),
    ("gates", "Weights of the sources", _figure(layers.gate_table, of_layers.gate_plot)),
    (
        "pairs",
        "How backbones complement each other",
        _figure(layers.pair_table, of_layers.pair_plot),
    ),
    ("choices", "Accuracy for its cost", _choices),
    (
        "marginals",
        "What each backbone adds",
        _figure(costs.marginal_table, of_predictions.marginal_plot),
    ),
    ("layer-marginals", "What each layer adds", _layer_marginals),
    ("costs", "Costs", _tables(costs.prediction_table, costs.fit_table)),
    ("classes", "Classes", _tables(predictions.class_table)),
    ("confusion", "Confusion", _confusion),
    ("probabilities", "Probabilities", _probabilities),
    ("curve", "Learning curve", _figure(predictions.curve_table, of_predictions.learning_curve)),
    ("seeds", "Other seeds", _tables(predictions.seed_table)),
    ("mistakes", "Mistakes", _mistakes),
    ("about", "Data and versions", _tables(costs.data_table)),
)
"""Key, title and body of every section, in the order of the page."""
