"""Plain tables with aligned columns."""

from collections.abc import Iterable, Sequence


def text_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table with aligned columns: text on the left, numbers on the right.

    Parameters
    ----------
    headers : sequence of str
        One per column.
    rows : iterable of sequence of str
        One str per column.

    Returns
    -------
    str
        Lines without a final line break.
    """
    body = [list(headers), *[list(row) for row in rows]]
    widths = [max(len(row[i]) for row in body) for i in range(len(headers))]
    right = [is_numeric([row[i] for row in body[1:]]) for i in range(len(headers))]
    lines = [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in body
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def is_numeric(cells: Sequence[str]) -> bool:
    """Return whether every cell of a column is a number or empty."""
    return all(not cell.strip() or cell[0] in "+-.0123456789" for cell in cells)
