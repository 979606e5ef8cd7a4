"""``score_plot``: layer against score, as an SVG written by hand; nothing to install."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from layerfuse.core.choice import LayerChoice
from layerfuse.core.errors import ShapeError
from layerfuse.core.layers import LayerRef

_WIDTH = 400.0  # text of 12 units is then readable on a phone, where a unit is about a pixel
_LEFT, _RIGHT = 52.0, 14.0
_PANEL, _HEAD, _FOOT = 170.0, 26.0, 40.0
_LINE = 19.0
_CHARACTERS = 50  # of 12 units, on one line

# Okabe and Ito's, their blue lighter, without those that vanish on white or on black. Dashes tell
# lines apart too.
_COLOURS = ("#1F87C9", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8A8A8A")
_DASHES = ("", "6 3", "2 3", "8 3 2 3", "12 4", "4 2 1 2 1 2", "1 2")

_STYLE = """
svg { background: #fff; color: #1a1a1a; max-width: 720px }
text { font: 12px system-ui, sans-serif; fill: currentColor }
.ground { fill: #fff }
@media (prefers-color-scheme: dark) {
  svg { background: #15181c; color: #e6e6e6 }
  .ground { fill: #15181c }
}
"""


@dataclass(frozen=True, slots=True)
class _Series:
    """One line: a backbone under one pooling."""

    backbone: str
    pooling: str
    colour: str
    dash: str


@dataclass(frozen=True, slots=True)
class _Axis:
    """From values to places along one side of a panel."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


@dataclass(frozen=True, slots=True)
class _Point:
    """One layer: where it stands, its score and the standard error of it."""

    ref: LayerRef
    x: float
    value: float
    error: float


def score_plot(choices: Sequence[LayerChoice], title: str) -> str:
    """Draw score against relative depth, one panel per criterion, one line per backbone.

    Parameters
    ----------
    choices : sequence of LayerChoice
        One per criterion.
    title : str
        Above all panels; cut where it is too long.

    Returns
    -------
    str
        An SVG document with a light and a dark face. Chosen layers are large and ringed; bands are
        95 % intervals (1.96 standard errors) where there are errors; every point tells its numbers
        when pointed at.

    Raises
    ------
    ShapeError
        If there is nothing to draw.
    """
    if not choices:
        raise ShapeError("Expected at least one LayerChoice to draw, got none.")
    series = _series(choices)
    parts, top = [_text(_elide(title, 44), 12.0, 22.0, "bold", size=14)], 32.0
    for choice in choices:
        parts += _panel(choice, series, top)
        top += _HEAD + _PANEL + _FOOT
    top += 6
    parts += _legend(series, top, errors=any(choice.standard_errors for choice in choices))
    height = top + (len(series) + 2) * _LINE + 4
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:g} {height:g}" width="100%" '
        f'role="img" aria-label="{escape(title)}">\n<style>{_STYLE}</style>\n'
        f'<rect class="ground" width="{_WIDTH:g}" height="{height:g}"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _series(choices: Sequence[LayerChoice]) -> list[_Series]:
    lines = dict.fromkeys((r.backbone, r.pooling) for c in choices for r in c.scores.refs)
    backbones = list(dict.fromkeys(backbone for backbone, _ in lines))
    return [
        _Series(
            backbone,
            pooling,
            _COLOURS[backbones.index(backbone) % len(_COLOURS)],
            _DASHES[i % len(_DASHES)],
        )
        for i, (backbone, pooling) in enumerate(lines)
    ]


def _panel(choice: LayerChoice, series: Sequence[_Series], top: float) -> Iterator[str]:
    scores = choice.scores
    errors = choice.standard_errors or (0.0,) * len(scores.values)
    pairs = list(zip(scores.values, errors, strict=True))
    low, high = _enclose([v + side * 1.96 * e for v, e in pairs for side in (-1, 1)])
    bottom = top + _HEAD + _PANEL
    x = _Axis(0.0, 1.0, _LEFT + 6, _WIDTH - _RIGHT - 6)
    y = _Axis(low, high, bottom, top + _HEAD)
    yield _text(f"{_elide(scores.criterion, 30)} (higher is better)", _LEFT, top + 16, "bold")
    yield from _grid(_ticks(low, high), y, x, bottom)
    curves = []
    for line in series:
        own = [r for r in scores.refs if (r.backbone, r.pooling) == (line.backbone, line.pooling)]
        deepest = max((r.layer for r in scores.refs if r.backbone == line.backbone), default=0)
        points = [
            _Point(ref, x(ref.layer / max(1, deepest)), *pairs[scores.refs.index(ref)])
            for ref in sorted(own)
        ]
        curves += [(line, points)] if points else []
    for draw in (_band, _curve):  # no band over a line
        for line, points in curves:
            yield from draw(line, points, y)
    for line, points in curves:
        yield from _marks(line, points, y, choice)


def _grid(ticks: Sequence[float], y: _Axis, x: _Axis, bottom: float) -> Iterator[str]:
    decimals = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9))
    for tick in ticks:
        yield (
            f'<path d="M{_LEFT:g} {y(tick):.1f}H{_WIDTH - _RIGHT:g}" stroke="currentColor" '
            'stroke-opacity=".18"/>'
        )
        yield _text(f"{tick:.{decimals}f}", _LEFT - 6, y(tick) + 4, anchor="end")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        yield _text(f"{share:g}", x(share), bottom + 16, anchor="middle")
    yield _text(
        "relative depth (0: embeddings, 1: last block)", x(0.5), bottom + 32, anchor="middle"
    )


def _band(line: _Series, points: Sequence[_Point], y: _Axis) -> Iterator[str]:
    if any(point.error for point in points):
        above = [f"{p.x:.1f} {y(p.value + 1.96 * p.error):.1f}" for p in points]
        below = [f"{p.x:.1f} {y(p.value - 1.96 * p.error):.1f}" for p in reversed(points)]
        path = "L".join(above + below)
        yield f'<path d="M{path}Z" fill="{line.colour}" fill-opacity=".15"/>'


def _curve(line: _Series, points: Sequence[_Point], y: _Axis) -> Iterator[str]:
    path = "L".join(f"{p.x:.1f} {y(p.value):.1f}" for p in points)
    yield (
        f'<path d="M{path}" fill="none" stroke="{line.colour}" stroke-width="1.6" '
        f'stroke-dasharray="{line.dash or "none"}"/>'
    )


def _marks(line: _Series, points: Sequence[_Point], y: _Axis, choice: LayerChoice) -> Iterator[str]:
    for point in points:
        chosen = point.ref in choice.selection.refs
        share = "" if choice.stability is None else f", {choice.stability[point.ref]:.0%} of draws"
        ring = ' class="chosen" stroke="currentColor" stroke-width="1.6"' if chosen else ""
        yield (
            f'<circle cx="{point.x:.1f}" cy="{y(point.value):.1f}" r="{4.5 if chosen else 1.8}" '
            f'fill="{line.colour}"{ring}>'
            f"<title>{escape(str(point.ref))}: {point.value:.4g}{share}</title></circle>"
        )


def _legend(series: Sequence[_Series], top: float, *, errors: bool) -> Iterator[str]:
    for line in series:
        yield (
            f'<path d="M12 {top + 8:g}h30" stroke="{line.colour}" stroke-width="2" '
            f'stroke-dasharray="{line.dash or "none"}"/>'
        )
        name = f"{_elide(line.backbone, _CHARACTERS - 4 - len(line.pooling))}, {line.pooling}"
        yield _text(name, 50.0, top + 12)
        top += _LINE
    yield (
        f'<circle cx="27" cy="{top + 8:g}" r="4.5" fill="none" stroke="currentColor" '
        'stroke-width="1.6"/>'
    )
    yield _text("chosen", 50.0, top + 12)
    if errors:
        box = f'x="132" y="{top + 2:g}" width="30" height="12"'
        yield f'<rect {box} fill="currentColor" opacity=".15"/>'
        yield _text("95 % interval over texts", 170.0, top + 12)


def _enclose(values: Sequence[float]) -> tuple[float, float]:
    """Return an interval a little wider than the values."""
    low, high = min(values), max(values)
    room = 0.05 * (high - low)
    if room <= 1e-9 * max(1.0, abs(low)):
        room = 0.5 * max(1.0, abs(low))
    return low - room, high + room


def _ticks(low: float, high: float) -> list[float]:
    """Return 2 to 7 round numbers within an interval."""
    rough = (high - low) / 6
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= rough * 0.999)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _elide(text: str, length: int) -> str:
    """Leave out the start of what is too long: names differ at the end."""
    return text if len(text) <= length else f"…{text[1 - length :]}"


def _text(
    text: str, x: float, y: float, weight: str = "normal", *, anchor: str = "start", size: int = 12
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" '
        f'style="font-weight:{weight};font-size:{size}px">{escape(text)}</text>'
    )
