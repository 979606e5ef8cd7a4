"""``rows_plot``: named rows with marks, and optionally a bar, on one common axis."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from layerfuse.core.escape import elide, escaped
from layerfuse.report.drawing import (
    COLOURS,
    LINE,
    RIGHT,
    WIDTH,
    Axis,
    Ticks,
    enclose,
    frame,
    legend,
    rule,
    ticks,
    write,
)

Shape = Literal["circle", "square", "diamond"]

_LEFT, _TOP, _ROW, _BAR = 26.0, 8.0, 36.0, 9.0
_NAME = 34  # most characters of a name with a note on the same line
NAME_ALONE = 52
"""Most characters of a name without a note."""

_SHAPES: dict[Shape, str] = {
    "circle": "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0Z",
    "square": "M-4 -4h8v8h-8Z",
    "diamond": "M0 -5.5l5.5 5.5l-5.5 5.5l-5.5 -5.5Z",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """One value of a row.

    Parameters
    ----------
    value : float
        Value on the axis.
    meaning : str
        Text in the legend and the tooltip.
    shape : Shape
        Shape of the mark.
    colour : str
        Colour of the mark.
    """

    value: float
    meaning: str
    shape: Shape = "circle"
    colour: str = COLOURS[0]


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Parameters
    ----------
    name : str
        Name above the marks.
    marks : tuple of Mark
        From back to front.
    bar : tuple of two floats, optional
        Ends of a bar behind the marks.
    note : str
        Text at the right of the name.
    colour : str
        Colour of the bar.
    shown : str
        Short form of the name. Default: a long name loses its start.
    """

    name: str
    marks: tuple[Mark, ...]
    bar: tuple[float, float] | None = None
    note: str = ""
    colour: str = COLOURS[0]
    shown: str = ""


def rows_plot(
    label: str,
    rows: Sequence[Row],
    title: str,
    *,
    percent: bool = False,
    reference: float | None = None,
) -> str:
    """Draw rows below each other.

    Parameters
    ----------
    label : str
        Description of the plot for screen readers.
    rows : sequence of Row
        From top to bottom.
    title : str
        Title of the axis.
    percent : bool
        Whether values are shares of 0 .. 1.
    reference : float, optional
        Value marked by a vertical line, such as a gain of 0.

    Returns
    -------
    str
        An SVG element, with a legend if marks have different meanings.
    """
    values = [mark.value for row in rows for mark in row.marks]
    values += [end for row in rows if row.bar for end in row.bar]
    values += [] if reference is None else [reference]
    low, high = enclose(values, percent=percent)
    x = Axis(low, high, _LEFT, WIDTH - RIGHT - 8)
    bottom = _TOP + _ROW * len(rows) + 4
    parts = [*_grid(ticks(low, high, percent=percent), x, len(rows), title)]
    if reference is not None:
        parts.append(f'<path d="{_upright(x(reference), len(rows))}" stroke="currentColor"/>')
    for i, row in enumerate(rows):
        parts += _row(row, x, _TOP + _ROW * i)
    meanings = {mark.meaning: _shape(mark) for row in rows for mark in row.marks}
    height = bottom + 40
    if len(meanings) > 1:
        entries = [
            (name, f'<g transform="translate(27 0)">{s}</g>') for name, s in meanings.items()
        ]
        parts += legend(entries, height)
        height += LINE * len(meanings) + 4
    return frame(label, height, parts)


def _grid(places: Ticks, x: Axis, n_rows: int, title: str) -> Iterator[str]:
    bottom = _TOP + _ROW * n_rows + 4
    for value, words in places:
        yield rule(_upright(x(value), n_rows))
        yield write(words, x(value), bottom + 16, anchor="middle")
    yield write(title, WIDTH / 2, bottom + 32, anchor="middle")


def _upright(x: float, n_rows: int) -> str:
    """Return the path of a vertical line through all rows that skips their names."""
    return "".join(f"M{x:.1f} {_TOP + _ROW * i + 16:g}v16" for i in range(n_rows))


def _row(row: Row, x: Axis, top: float) -> Iterator[str]:
    shown = row.shown or elide(row.name, _NAME if row.note else NAME_ALONE)
    yield write(shown, 8.0, top + 12)
    if row.note:
        yield write(row.note, WIDTH - 6, top + 12, "bold", anchor="end")
    middle = top + 24
    if row.bar is not None:
        left, right = sorted(map(x, row.bar))
        yield (
            f'<rect x="{left:.1f}" y="{middle - _BAR / 2:g}" width="{max(1.0, right - left):.1f}" '
            f'height="{_BAR:g}" fill="{row.colour}" fill-opacity=".45"/>'
        )
    for mark in row.marks:
        words = f"{escaped(row.name)}, {escaped(mark.meaning)}: {mark.value:.4g}"
        yield (
            f'<g class="mark" transform="translate({x(mark.value):.1f} {middle:g})">'
            f"<title>{words}</title>{_shape(mark)}</g>"
        )


def _shape(mark: Mark) -> str:
    return f'<path d="{_SHAPES[mark.shape]}" fill="{mark.colour}" stroke="currentColor"/>'
