"""``report_markdown``: a report as GitHub-flavoured Markdown."""

from collections.abc import Iterable

from layerfuse.core.escape import literal, shortened
from layerfuse.core.tables import is_numeric
from layerfuse.report.contents import costs, layers, predictions
from layerfuse.report.contents.answer import leak_warning, quality_table, sentences
from layerfuse.report.contents.table import Table
from layerfuse.report.document import Report

_TEXT = 300  # most characters shown of a text


def report_markdown(report: Report) -> str:
    """Return the sentences and tables of a report; only the HTML page has plots.

    Parameters
    ----------
    report : Report
        Report to show; its empty parts are left out.

    Returns
    -------
    str
        GitHub-flavoured Markdown, with all text from data escaped.
    """
    warning = leak_warning(report)
    blocks = [f"# layerfuse on {literal(report.data.name)}"]
    blocks += [f"> **Warning:** {literal(warning)}"] if warning else []
    blocks.append(literal(" ".join(sentences(report))))
    blocks += map(_table, _tables(report))
    return "\n\n".join(blocks) + "\n"


def _tables(report: Report) -> list[Table]:
    tables = (
        quality_table(report),
        predictions.step_table(report),
        layers.selection_table(report),
        predictions.gain_table(report),
        layers.layer_table(report),
        layers.agreement_table(report),
        layers.gate_table(report),
        layers.pair_table(report),
        costs.choice_table(report),
        costs.marginal_table(report),
        costs.layer_marginal_table(report),
        predictions.class_table(report),
        predictions.confusion_table(report),
        predictions.calibration_table(report),
        predictions.reliability_table(report),
        predictions.curve_table(report),
        _mistakes(report),
        predictions.seed_table(report),
        costs.prediction_table(report),
        costs.fit_table(report),
        costs.data_table(report),
    )
    return [table for table in tables if table.rows]


def _mistakes(report: Report) -> Table:
    return Table(
        "Mistakes, the most confident first",
        ("truth", "predicted", "probability", "test text"),
        tuple(
            (m.truth, m.predicted, f"{m.probability:.2f}", shortened(m.text, _TEXT))
            for m in report.mistakes
        ),
    )


def _table(table: Table) -> str:
    """Return a table below its caption and note, with numbers aligned to the right."""
    columns = list(zip(*table.rows, strict=True))
    rules = ["---:" if i and is_numeric(list(cells)) else "---" for i, cells in enumerate(columns)]
    lines = [markdown_row(row) for row in (table.headers, rules, *table.rows)]
    blocks = [f"## {literal(table.caption)}", *([literal(table.note)] if table.note else [])]
    return "\n\n".join([*blocks, "\n".join(lines)])


def markdown_row(cells: Iterable[str]) -> str:
    """Return one row of a table, with its cells escaped."""
    return f"| {' | '.join(map(literal, cells))} |"
