"""``rows_plot``: named rows, each with marks on one common axis, and perhaps a bar beneath them."""

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
_NAME = 34  # characters; a note stands on the same line
NAME_ALONE = 52
"""Characters of a name without a note."""

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
        Where it stands.
    meaning : str
        What it is, in the legend and when pointed at.
    shape : Shape
        Tells it apart from others, as its colour does.
    colour : str
        Of the shape.
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
        Above its marks.
    marks : tuple of Mark
        From back to front.
    bar : tuple of two floats, optional
        From where to where a bar lies beneath them.
    note : str
        At the right of the name.
    colour : str
        Of the bar.
    shown : str
        What stands for a name whose end alone does not tell it from others.
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
    """Draw rows beneath each other.

    Parameters
    ----------
    label : str
        What the plot shows, for who cannot see it.
    rows : sequence of Row
        From top to bottom.
    title : str
        Of the axis.
    percent : bool
        Whether values are shares.
    reference : float, optional
        A value with a line of its own, such as no gain.

    Returns
    -------
    str
        An SVG element. A legend stands beneath where marks mean different things.
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
    """Return the path of a line through all rows that leaves out their names."""
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
