"""``heatmap``: a matrix as shaded cells, with numbers in them if there is room."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from layerfuse.core.escape import elide, escaped
from layerfuse.report.drawing import COLOURS, RIGHT, WIDTH, frame, write

MOST_NAMED_ROWS = 24  # with more rows the names do not fit
_NAMES, _NAME = 150.0, 16  # width of the names in units and in characters, also wide ones
_TOP, _ROW = 20.0, 22.0
_LIGHTEST, _DARKEST = 0.04, 1.0
_DARKEST_BEHIND_NUMBERS = 0.6  # keeps numbers readable on white and on black


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Parameters
    ----------
    shade : float
        0 (none) to 1 (full), or to -1 in the other colour.
    words : str
        Tooltip.
    number : str
        Number shown in the cell; may be empty.
    is_ringed : bool
        Whether the cell is framed.
    """

    shade: float
    words: str
    number: str = ""
    is_ringed: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One row; its cells are equally wide and fill the row.

    Parameters
    ----------
    name : str
        Name at the left.
    cells : tuple of Cell
        From left to right.
    """

    name: str
    cells: tuple[Cell, ...]


def heatmap(
    label: str,
    rows: Sequence[Row],
    title: str,
    ends: tuple[str, str],
    *,
    columns: Sequence[str] = (),
    both_signs: bool = False,
) -> str:
    """Draw a matrix.

    Parameters
    ----------
    label : str
        Description of the plot for screen readers.
    rows : sequence of Row
        From top to bottom; named if there are at most 24.
    title : str
        Title of the columns.
    ends : tuple of two str
        Meaning of the lightest and of the darkest shade.
    columns : sequence of str
        Short names above the columns; empty for none.
    both_signs : bool
        Whether shades go from -1 to 1.

    Returns
    -------
    str
        An SVG element. Cells with shade 0 are left blank.
    """
    named = len(rows) <= MOST_NAMED_ROWS
    left = _NAMES if named else RIGHT
    room = WIDTH - RIGHT - left
    height = _ROW if named else room / len(rows)
    numbered = any(cell.number for row in rows for cell in row.cells)
    darkest = _DARKEST_BEHIND_NUMBERS if numbered else _DARKEST
    parts: list[str] = []
    for i, name in enumerate(columns):
        middle = left + room * (i + 0.5) / len(columns)
        parts.append(write(name, middle, _TOP - 6, anchor="middle", size=11))
    for i, row in enumerate(rows):
        top = _TOP + i * height
        if named:
            parts.append(write(elide(row.name, _NAME), left - 6, top + 15, anchor="end"))
        parts += _cells(row.cells, left, top, room, height, darkest)
    bottom = _TOP + len(rows) * height
    parts.append(
        f'<rect x="{left:g}" y="{_TOP:g}" width="{room:g}" height="{bottom - _TOP:g}" fill="none" '
        'stroke="currentColor" stroke-opacity=".35"/>'
    )
    parts.append(write(title, left + room / 2, bottom + 16, anchor="middle"))
    parts += _key(ends, left, bottom + 26, room, darkest, both_signs=both_signs)
    return frame(label, bottom + 60, parts)


def with_number(number: int, name: str) -> str:
    """Return a row's name after its number, as of its column; a long name is truncated."""
    return f"{number} {elide(name, _NAME - 1 - len(str(number)))}"


def _cells(
    cells: Sequence[Cell], left: float, top: float, room: float, height: float, darkest: float
) -> Iterator[str]:
    """Draw one row, and its frames last, so that no neighbouring cell covers them."""
    width = room / max(1, len(cells))
    rings = []
    for i, cell in enumerate(cells):
        x = left + i * width
        place = f'x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"'
        if cell.shade:
            shown = f"<title>{escaped(cell.words)}</title>"
            yield f'<rect class="cell" {place} {_fill(cell.shade, darkest)}>{shown}</rect>'
        if cell.number:
            yield write(cell.number, x + width / 2, top + 15, anchor="middle", size=11)
        if cell.is_ringed:
            rings.append(
                f'<rect class="chosen" x="{x + 1:.1f}" y="{top + 1:.1f}" width="{width - 2:.1f}" '
                f'height="{height - 2:.1f}" fill="none" stroke="currentColor" stroke-width="1.8"/>'
            )
    yield from rings


def _fill(shade: float, darkest: float) -> str:
    strength = _LIGHTEST + (darkest - _LIGHTEST) * abs(shade)
    return f'fill="{COLOURS[0] if shade > 0 else COLOURS[1]}" fill-opacity="{strength:.3f}"'


def _key(
    ends: tuple[str, str],
    left: float,
    top: float,
    room: float,
    darkest: float,
    *,
    both_signs: bool,
) -> Iterator[str]:
    """Draw the colour scale."""
    lowest, n_steps = (-1.0 if both_signs else 0.0), 20
    for i in range(n_steps):
        shade = lowest + (1 - lowest) * (i + 0.5) / n_steps
        place = f'x="{left + room * i / n_steps:.1f}" y="{top:g}" width="{room / n_steps:.1f}"'
        yield f'<rect {place} height="9" {_fill(shade, darkest)}/>'
    yield write(ends[0], left, top + 22, size=11)
    yield write(ends[1], left + room, top + 22, anchor="end", size=11)
