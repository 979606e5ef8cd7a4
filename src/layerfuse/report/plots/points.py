"""``points_plot``: a scatter or line plot in one panel."""

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
_RING = 2.5  # by which a ringed point is larger
_CHARACTER = 7.0  # width of a character in a label
# Offsets of a label from its point; first those that a rising line does not cross.
_BESIDE = ((-6, -5, "end"), (6, 13, "start"), (6, -5, "start"), (-6, 13, "end"))


@dataclass(frozen=True, slots=True)
class Point:
    """One point.

    Parameters
    ----------
    x, y : float
        Values.
    words : str
        Tooltip.
    label : str
        Label beside the point; may be empty.
    is_ringed : bool
        Whether the point is highlighted by a ring.
    radius : float
        Radius in units.
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
        Name in the legend.
    points : tuple of Point
        From left to right if a line joins them.
    colour, dash : str
        Style of points and line.
    is_joined : bool
        Whether a line joins the points.
    band : tuple of (float, float)
        Lower and upper end of the band at each point; empty for no band.
    """

    name: str
    points: tuple[Point, ...]
    colour: str = COLOURS[0]
    dash: str = ""
    is_joined: bool = True
    band: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Scale:
    """The scale of one axis.

    Parameters
    ----------
    title : str
        Title of the axis.
    low, high : float
        Values at its ends.
    ticks : sequence of (float, str)
        Values of the ticks with their labels.
    """

    title: str
    low: float
    high: float
    ticks: Ticks


def scale(title: str, values: Iterable[float], *, percent: bool = False) -> Scale:
    """Return a scale that fits some values.

    Parameters
    ----------
    title : str
        Title of the axis.
    values : iterable of float
        At least one.
    percent : bool
        Whether they are shares of 0 .. 1.
    """
    low, high = enclose(values, percent=percent)
    return Scale(title, low, high, ticks(low, high, percent=percent))


def points_plot(
    label: str, series: Sequence[Series], x_scale: Scale, y_scale: Scale, *, height: float = 190.0
) -> str:
    """Draw series of points.

    Parameters
    ----------
    label : str
        Description of the plot for screen readers.
    series : sequence of Series
        Later ones are drawn over earlier ones.
    x_scale, y_scale : Scale
        Scales of both axes.
    height : float
        Height of the panel, in units of 1/400 of the width.

    Returns
    -------
    str
        An SVG element with a legend.
    """
    bottom = _TOP + height
    x = Axis(x_scale.low, x_scale.high, LEFT + 6, WIDTH - RIGHT - 6)  # room for tick labels
    y = Axis(y_scale.low, y_scale.high, bottom, _TOP)
    parts = [write(y_scale.title, 8.0, 18.0, "bold")]
    parts += grid(x_scale.ticks, y_scale.ticks, x, y, x_scale.title)
    parts += series_in(series, x, y)
    parts += _labels([point for one in reversed(series) for point in one.points], x, y)
    top = bottom + _FOOT
    parts += legend([(one.name, _sample(one)) for one in series], top)
    return frame(label, top + LINE * len(series) + 4, parts)


def series_in(series: Sequence[Series], x: Axis, y: Axis) -> Iterator[str]:
    """Draw series in a panel: first all bands, so that none covers a line, and last all points."""
    for one in series:
        if one.band:
            lower, upper = (
                [(x(p.x), y(ends[side])) for p, ends in zip(one.points, one.band, strict=True)]
                for side in (0, 1)
            )
            yield f'<path d="{band(lower, upper)}" fill="{one.colour}" fill-opacity=".15"/>'
    for one in series:
        if one.is_joined and one.points:
            yield stroke(curve((x(p.x), y(p.y)) for p in one.points), one.colour, one.dash)
    for one in series:
        for point in one.points:
            ring = ' class="chosen" stroke="currentColor" stroke-width="1.6"' * point.is_ringed
            size = point.radius + _RING * point.is_ringed
            yield (
                f'<circle cx="{x(point.x):.1f}" cy="{y(point.y):.1f}" r="{size:.3g}" '
                f'fill="{one.colour}"{ring}><title>{escaped(point.words)}</title></circle>'
            )


def _labels(points: Sequence[Point], x: Axis, y: Axis) -> Iterator[str]:
    """Write labels beside their points without overlaps; points at one place share a label.

    Ringed points come first, then the others in order. A label without room is left out; tooltips
    show it.
    """
    places: dict[tuple[int, int], list[Point]] = {}
    for point in points:
        if point.label:
            places.setdefault((round(x(point.x)), round(y(point.y))), []).append(point)
    taken: list[tuple[float, float, float, float]] = []
    for group in sorted(places.values(), key=lambda group: not any(p.is_ringed for p in group)):
        words = ", ".join(point.label for point in group)
        width = _CHARACTER * len(words)
        for right, down, anchor in _BESIDE:
            across, base = x(group[0].x) + right, y(group[0].y) + down
            left = across - width if anchor == "end" else across
            box = left, base - 10, left + width, base + 1
            if left >= 0 and left + width <= WIDTH and not any(_overlap(box, t) for t in taken):
                taken.append(box)
                yield write(words, across, base, anchor=anchor)
                break


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    """Return whether two boxes (left, top, right, bottom) overlap."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _sample(series: Series) -> str:
    dot = f'<circle cx="27" r="3.2" fill="{series.colour}"/>'
    return (stroke("M12 0h30", series.colour, series.dash, 2.0) if series.is_joined else "") + dot
