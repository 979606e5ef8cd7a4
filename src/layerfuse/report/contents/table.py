"""``Table``: a table before it is rendered as HTML, Markdown or plain text."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """Formatted cells, not yet escaped.

    Parameters
    ----------
    caption : str
        Caption, unique on a page.
    headers : tuple of str
        One per column.
    rows : tuple of tuple of str
        One str per column; the first names the row.
    note : str
        Explanation needed to read the table; may be empty.
    """

    caption: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
