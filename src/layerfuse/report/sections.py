"""Sections of the report page: one function each, which returns "" if it has nothing to show."""

from collections.abc import Callable
from dataclasses import replace

from layerfuse.core.escape import shortened
from layerfuse.report.contents import costs, layers, predictions
from layerfuse.report.document import Report
from layerfuse.report.facts import Mistake
from layerfuse.report.markup import figure, folded, paragraph, table, words
from layerfuse.report.plots import of_layers, of_predictions

_TEXT, _NEIGHBOUR = 300, 150  # most characters shown of a test text and of a training text


def _steps(report: Report) -> str:
    if not report.baselines:
        return ""
    return figure(of_predictions.waterfall(report), predictions.step_table(report))


def _gains(report: Report) -> str:
    if all(quality.gain is None for quality in report.baselines):
        return ""
    return figure(of_predictions.gain_plot(report), predictions.gain_table(report))


def _selection(report: Report) -> str:
    return table(layers.selection_table(report))


def _layers(report: Report) -> str:
    if not report.layers:
        return ""
    plots = of_layers.layer_plot(report) + of_layers.depth_map(report)
    return figure(plots, layers.layer_table(report))


def _agreement(report: Report) -> str:
    if not report.agreement:
        return ""
    return figure(of_layers.agreement_map(report), layers.agreement_table(report))


def _gates(report: Report) -> str:
    return figure(of_layers.gate_plot(report), layers.gate_table(report)) if report.gates else ""


def _pairs(report: Report) -> str:
    if not report.pairs:
        return ""
    return figure(of_layers.pair_plot(report), layers.pair_table(report))


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


def _marginals(report: Report) -> str:
    if not report.overhead.marginals:
        return ""
    return figure(of_predictions.marginal_plot(report), costs.marginal_table(report))


def _layer_marginals(report: Report) -> str:
    if not report.overhead.layer_marginals:
        return ""
    content = costs.layer_marginal_table(report)
    numbers = table(replace(content, note=""))  # the note stays visible when they are folded
    return paragraph(content.note, "note") + folded("Layer by layer", numbers)


def _costs(report: Report) -> str:
    predicting = costs.prediction_table(report)
    return (table(predicting) if predicting else "") + table(costs.fit_table(report))


def _classes(report: Report) -> str:
    return table(predictions.class_table(report)) if report.classes else ""


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


def _curve(report: Report) -> str:
    if not report.curve:
        return ""
    return figure(of_predictions.learning_curve(report), predictions.curve_table(report))


def _seeds(report: Report) -> str:
    return table(predictions.seed_table(report)) if len(report.seeds.seeds) > 1 else ""


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


def _about(report: Report) -> str:
    return table(costs.data_table(report))


SECTIONS: tuple[tuple[str, str, Callable[[Report], str]], ...] = (
    ("steps", "What each step adds", _steps),
    ("gains", "Gain over every baseline", _gains),
    ("selection", "What the classifier is made of", _selection),
    ("layers", "Layers", _layers),
    ("agreement", "Agreement between criteria", _agreement),
    ("gates", "Weights of the sources", _gates),
    ("pairs", "How backbones complement each other", _pairs),
    ("choices", "Accuracy for its cost", _choices),
    ("marginals", "What each backbone adds", _marginals),
    ("layer-marginals", "What each layer adds", _layer_marginals),
    ("costs", "Costs", _costs),
    ("classes", "Classes", _classes),
    ("confusion", "Confusion", _confusion),
    ("probabilities", "Probabilities", _probabilities),
    ("curve", "Learning curve", _curve),
    ("seeds", "Other seeds", _seeds),
    ("mistakes", "Mistakes", _mistakes),
    ("about", "Data and versions", _about),
)
"""Key, title and body of every section, in the order of the page."""
