"""Plain tables that fit a terminal."""

from collections.abc import Iterable, Sequence

from layerfuse.core.scores import LayerScores
from layerfuse.core.selection import Selection

_BAR = 12


def text_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table with aligned columns: words to the left, numbers to the right.

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
    right = [_is_numeric([row[i] for row in body[1:]]) for i in range(len(headers))]
    lines = [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in body
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _is_numeric(cells: Sequence[str]) -> bool:
    return all(not cell.strip() or cell[0] in "+-.0123456789" for cell in cells)


def score_table(scores: LayerScores, selection: Selection | None = None) -> str:
    """Return the scores layer by layer, a bar from the worst to the best, chosen layers marked.

    Parameters
    ----------
    scores : LayerScores
        Of one or several backbones.
    selection : Selection, optional
        Marked with a star.

    Returns
    -------
    str
        One table for all backbones.
    """
    low, high = min(scores.values), max(scores.values)
    chosen = set(selection.refs) if selection else set()
    rows = []
    for ref, value in zip(scores.refs, scores.values, strict=True):
        filled = round(_BAR * (value - low) / (high - low)) if high > low else 0
        mark = "*" if ref in chosen else ""
        rows.append((str(ref), f"{value:.4f}", ("#" * filled).ljust(_BAR), mark))
    return text_table(("layer", scores.criterion, "", "in use"), rows)
