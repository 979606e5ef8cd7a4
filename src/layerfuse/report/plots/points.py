"""``points_plot``: points in a panel, joined by lines where they follow each other."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from layerfuse.core.escape import escaped
from layerfuse.report.drawing import (
    COLOURS,
    LEFT,
    LINE,
    RIGHT,
    WIDTH,
    Axis,
    Ticks,
    band,
    curve,
    enclose,
    frame,
    grid,
    legend,
    stroke,
    ticks,
    write,
)

_TOP, _FOOT = 34.0, 42.0
_CHARACTER = 7.0  # its width in a label
# From a point to its label; where no rising line passes comes first.
_BESIDE = ((-6, -5, "end"), (6, 13, "start"), (6, -5, "start"), (-6, 13, "end"))


@dataclass(frozen=True, slots=True)
class Point:
    """One point.

    Parameters
    ----------
    x, y : float
        Values.
    words : str
        Told when pointed at.
    label : str
        Beside the point.
    is_ringed : bool
        Whether it stands out.
    radius : float
        How large it is.
    """

    x: float
    y: float
    words: str
    label: str = ""
    is_ringed: bool = False
    radius: float = 3.2


@dataclass(frozen=True, slots=True)
class Series:
    """Points that belong together.

    Parameters
    ----------
    name : str
        In the legend.
    points : tuple of Point
        From left to right where a line joins them.
    colour, dash : str
        Of points and line.
    is_joined : bool
        Whether a line joins them.
    band : tuple of (float, float)
        From where to where each point may lie; empty for no band.
    """

    name: str
    points: tuple[Point, ...]
    colour: str = COLOURS[0]
    dash: str = ""
    is_joined: bool = True
    band: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Scale:
    """One side of the panel.

    Parameters
    ----------
    title : str
        What is measured.
    low, high : float
        Values at its ends.
    ticks : sequence of (float, str)
        Values with words.
    """

    title: str
    low: float
    high: float
    ticks: Ticks


def scale(title: str, values: Iterable[float], *, percent: bool = False) -> Scale:
    """Return the scale that some values ask for.

    Parameters
    ----------
    title : str
        What is measured.
    values : iterable of float
        At least one.
    percent : bool
        Whether they are shares.
    """
    low, high = enclose(values, percent=percent)
    return Scale(title, low, high, ticks(low, high, percent=percent))


def points_plot(
    label: str, series: Sequence[Series], x_scale: Scale, y_scale: Scale, *, height: float = 190.0
) -> str:
    """Draw points.

    Parameters
    ----------
    label : str
        What the plot shows, for who cannot see it.
    series : sequence of Series
        Later ones over earlier ones.
    x_scale, y_scale : Scale
        Both sides.
    height : float
        Of the panel, in units of which the width has 400.

    Returns
    -------
    str
        An SVG element with a legend.
    """
    bottom = _TOP + height
    x = Axis(x_scale.low, x_scale.high, LEFT + 6, WIDTH - RIGHT - 6)  # room for the words beneath
    y = Axis(y_scale.low, y_scale.high, bottom, _TOP)
    parts = [write(y_scale.title, 8.0, 18.0, "bold")]
    parts += grid(x_scale.ticks, y_scale.ticks, x, y, x_scale.title)
    for one in series:
        parts += _lines(one, x, y)
    for one in series:
        parts += _marks(one, x, y)
    parts += _labels([point for one in reversed(series) for point in one.points], x, y)
    top = bottom + _FOOT
    parts += legend([(one.name, _sample(one)) for one in series], top)
    return frame(label, top + LINE * len(series) + 4, parts)


def _lines(series: Series, x: Axis, y: Axis) -> Iterator[str]:
    if series.band:
        lower, upper = (
            [(x(p.x), y(ends[side])) for p, ends in zip(series.points, series.band, strict=True)]
            for side in (0, 1)
        )
        yield f'<path d="{band(lower, upper)}" fill="{series.colour}" fill-opacity=".18"/>'
    if series.is_joined and series.points:
        yield stroke(curve((x(p.x), y(p.y)) for p in series.points), series.colour, series.dash)


def _marks(series: Series, x: Axis, y: Axis) -> Iterator[str]:
    for point in series.points:
        ring = ' class="chosen" stroke="currentColor" stroke-width="1.8"' * point.is_ringed
        size = 5.5 if point.is_ringed else point.radius
        yield (
            f'<circle cx="{x(point.x):.1f}" cy="{y(point.y):.1f}" r="{size:.3g}" '
            f'fill="{series.colour}"{ring}><title>{escaped(point.words)}</title></circle>'
        )


def _labels(points: Sequence[Point], x: Axis, y: Axis) -> Iterator[str]:
    """Write labels beside their points, each where none stands yet; of one place on one line.

    The ringed ones first, then in the order of the points. What has no room is left out: it is told
    when pointed at.
    """
    places: dict[tuple[int, int], list[Point]] = {}
    for point in points:
        if point.label:
            places.setdefault((round(x(point.x)), round(y(point.y))), []).append(point)
    taken: list[tuple[float, float, float, float]] = []
    for own in sorted(places.values(), key=lambda own: not any(p.is_ringed for p in own)):
        words = ", ".join(point.label for point in own)
        width = _CHARACTER * len(words)
        for right, down, anchor in _BESIDE:
            across, base = x(own[0].x) + right, y(own[0].y) + down
            left = across - width if anchor == "end" else across
            box = left, base - 10, left + width, base + 1
            if left >= 0 and left + width <= WIDTH and not any(_meet(box, one) for one in taken):
                taken.append(box)
                yield write(words, across, base, anchor=anchor)
                break


def _meet(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    """Tell whether two boxes (left, top, right, bottom) overlap."""
    across = one[0] < other[2] and other[0] < one[2]
    return across and one[1] < other[3] and other[1] < one[3]


def _sample(series: Series) -> str:
    dot = f'<circle cx="27" r="3.2" fill="{series.colour}"/>'
    return (stroke("M12 0h30", series.colour, series.dash, 2.0) if series.is_joined else "") + dot
