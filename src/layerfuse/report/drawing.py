"""Parts of all plots: axes, ticks, text, colours and the frame, as SVG written by hand."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from layerfuse.core.escape import elide, escaped

WIDTH = 400.0  # keeps text of 12 units readable on a phone, where a unit is about a pixel
LEFT, RIGHT = 52.0, 14.0
LINE = 19.0
CHARACTERS = 50  # that fit on one line at 12 units

# The colours of Okabe and Ito, with a lighter blue, without those invisible on white or black.
# Dashes distinguish lines without colour.
COLOURS = ("#1F87C9", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8A8A8A")
DASHES = ("", "6 3", "2 3", "8 3 2 3", "12 4", "4 2 1 2 1 2", "1 2")

Ticks = Sequence[tuple[float, str]]


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps values linearly to coordinates along one side of a panel.

    Parameters
    ----------
    low, high : float
        Values at both ends; they differ.
    start, end : float
        Coordinates of both ends.
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the coordinate of a value."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def frame(label: str, height: float, parts: Iterable[str], style: str = "") -> str:
    """Return the SVG element around its parts; screen readers read the label."""
    sheet = f"<style>{style}</style>\n" if style else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {height:g}" width="100%" '
        f'role="img" aria-label="{escaped(label)}">\n{sheet}'
        f'<rect class="ground" width="{WIDTH:g}" height="{height:g}"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def write(
    words: str, x: float, y: float, weight: str = "normal", *, anchor: str = "start", size: int = 12
) -> str:
    """Return a line of text; ``y`` is that of its baseline."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" '
        f'style="font-weight:{weight};font-size:{size}px">{escaped(words)}</text>'
    )


def enclose(values: Iterable[float], *, percent: bool = False) -> tuple[float, float]:
    """Return an interval a little wider than the values, but without impossible values.

    Parameters
    ----------
    values : iterable of float
        At least one.
    percent : bool
        Whether they are shares of 0 .. 1.

    Returns
    -------
    low, high : float
        They differ. The lower one is negative only if a value is negative.
    """
    held = list(values)
    low, high = min(held), max(held)
    room = 0.05 * (high - low)
    if room <= 1e-9 * max(1.0, abs(low)):
        room = 0.05 if percent else 0.5 * abs(low) or 1.0
    floor = -math.inf if low < 0 else 0.0
    ceiling = 1.0 if percent and high <= 1 else math.inf
    return max(floor, low - room), min(ceiling, high + room)


def round_numbers(low: float, high: float) -> list[float]:
    """Return 2 to 7 round numbers within an interval."""
    rough = (high - low) / 6
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= rough * 0.999)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def ticks(low: float, high: float, *, percent: bool = False) -> Ticks:
    """Return round numbers within an interval, each with as many decimals as they need."""
    places = round_numbers(low, high)
    step = (places[1] - places[0]) * (100 if percent else 1)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    form = f".{decimals}%" if percent else f".{decimals}f"
    return [(place, format(place, form)) for place in places]


def grid(x_ticks: Ticks, y_ticks: Ticks, x: Axis, y: Axis, x_title: str) -> Iterator[str]:
    """Draw grid lines, tick labels and the title of the x axis of a panel."""
    for value, words in y_ticks:
        yield rule(f"M{LEFT:g} {y(value):.1f}H{WIDTH - RIGHT:g}")
        yield write(words, LEFT - 6, y(value) + 4, anchor="end")
    for value, words in x_ticks:
        yield write(words, x(value), y.start + 16, anchor="middle")
    yield write(x_title, (LEFT + WIDTH - RIGHT) / 2, y.start + 32, anchor="middle")


def rule(path: str) -> str:
    """Return a faint line."""
    return f'<path d="{path}" stroke="currentColor" stroke-opacity=".18"/>'


def stroke(path: str, colour: str, dash: str = "", width: float = 1.6) -> str:
    """Return a line in colour."""
    return (
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}" '
        f'stroke-dasharray="{dash or "none"}"/>'
    )


def band(lower: Sequence[tuple[float, float]], upper: Sequence[tuple[float, float]]) -> str:
    """Return the outline of the area between two lines of (x, y) coordinates."""
    return curve([*upper, *reversed(lower)]) + "Z"


def curve(places: Iterable[tuple[float, float]]) -> str:
    """Return the path along (x, y) coordinates."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)


def legend(entries: Iterable[tuple[str, str]], top: float) -> Iterator[str]:
    """Draw a legend: each entry is a name and a mark drawn around (27, 0)."""
    for i, (name, mark) in enumerate(entries):
        y = top + i * LINE
        yield f'<g transform="translate(0 {y + 8:g})">{mark}</g>'
        yield write(elide(name, CHARACTERS), 50.0, y + 12)
