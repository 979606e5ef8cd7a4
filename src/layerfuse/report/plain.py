"""``report_text``: a report as ``print`` shows it."""

import textwrap

from layerfuse.core.escape import elide, one_line
from layerfuse.core.tables import text_table
from layerfuse.report.contents.answer import leak_warning, sentences, short_table
from layerfuse.report.document import Report

_WIDTH = 80


def report_text(report: Report) -> str:
    """Return the sentences and the main table of a report within 80 columns.

    Parameters
    ----------
    report : Report
        Report to show.

    Returns
    -------
    str
        Text without a final line break.
    """
    warning = leak_warning(report)
    summary = [*([f"Warning: {warning}"] if warning else []), *sentences(report)]
    # Names of models have hyphens; they are searched for and copied.
    lines = [
        textwrap.fill(one_line(sentence), _WIDTH, break_on_hyphens=False) for sentence in summary
    ]
    table = short_table(report)
    cells = [table.headers, *table.rows]
    others = sum(2 + max(len(row[i]) for row in cells) for i in range(1, len(table.headers)))
    rows = [(elide(name, _WIDTH - others), *row) for name, *row in table.rows]
    return "\n".join([*lines, "", text_table(table.headers, rows)])
