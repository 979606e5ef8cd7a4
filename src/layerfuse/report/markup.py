"""Pieces of HTML that a report is made of; all text from data is escaped here."""

from collections.abc import Iterable

from layerfuse.core.escape import escaped
from layerfuse.core.tables import is_numeric
from layerfuse.report.contents.table import Table


def words(text: str) -> str:
    """Return a text from data, escaped, with its writing direction isolated."""
    return f"<bdi>{escaped(text)}</bdi>"


def paragraph(text: str, kind: str) -> str:
    """Return a paragraph of a class of the style sheet; "" without text."""
    return f"<p{_class(kind)}>{escaped(text)}</p>\n" if text else ""


def table(content: Table) -> str:
    """Return a table below its note; "" without rows."""
    return paragraph(content.note, "note") + _frame(content) if content.rows else ""


def _frame(content: Table) -> str:
    """Return a table in a frame that scrolls, also by keyboard, if it is too wide."""
    columns = zip(*content.rows, strict=True) if content.rows else ((),) * len(content.headers)
    kinds = ["number" if is_numeric(list(cells)) else "words" for cells in columns]
    kinds[0] = ""  # the first column names the rows, even if by numbers
    head = "".join(
        f'<th scope="col"{_class(kind)}>{words(name)}</th>'
        for name, kind in zip(content.headers, kinds, strict=True)
    )
    caption = escaped(content.caption)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="Table: {caption}">\n'
        f"<table>\n<caption>{caption}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n"
        + "".join(_row(row, kinds) for row in content.rows)
        + "</tbody>\n</table>\n</div>\n"
    )


def _row(cells: Iterable[str], kinds: Iterable[str]) -> str:
    name, *others = cells
    _, *other_kinds = kinds
    data = "".join(
        f"<td{_class(kind)}>{words(cell)}</td>"
        for cell, kind in zip(others, other_kinds, strict=True)
    )
    return f'<tr><th scope="row">{words(name)}</th>{data}</tr>\n'


def figure(svg: str, numbers: Table) -> str:
    """Return a plot with its note above it and its numbers folded below it."""
    note = paragraph(numbers.note, "note")
    return f"{note}<figure>\n{svg}{folded('Numbers', _frame(numbers))}</figure>\n"


def folded(summary: str, body: str) -> str:
    """Return a part that is folded on screen until clicked, but open in print."""
    return f"<details>\n<summary>{escaped(summary)}</summary>\n{body}</details>\n"


def section(key: str, title: str, body: str) -> str:
    """Return a section of the page with an anchor."""
    heading = f'<h2 id="{key}">{escaped(title)}</h2>'
    return f'<section aria-labelledby="{key}">\n{heading}\n{body}</section>\n'


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
