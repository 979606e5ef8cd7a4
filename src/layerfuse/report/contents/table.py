"""``Table``: what every page shows as a table, before it is HTML, Markdown or plain text."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as a person reads them, not escaped for any form yet.

    Parameters
    ----------
    caption : str
        What it shows; no two tables of a page share one.
    headers : tuple of str
        One per column.
    rows : tuple of tuple of str
        One str per column; the first names the row.
    note : str
        What must be known to read it; empty if nothing.
    """

    caption: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
