"""``score_plot``: the score of each layer, as SVG written by hand, without a plotting library."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from layerfuse.core.choice import LayerChoice
from layerfuse.core.errors import ShapeError
from layerfuse.core.escape import elide, escaped
from layerfuse.core.layers import LayerRef
from layerfuse.report.drawing import (
    CHARACTERS,
    COLOURS,
    DASHES,
    LEFT,
    LINE,
    RIGHT,
    WIDTH,
    Axis,
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

_PANEL, _HEAD, _FOOT = 170.0, 26.0, 40.0
_SHARES = tuple((share, f"{share:g}") for share in (0.0, 0.25, 0.5, 0.75, 1.0))

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
    """The line of one backbone under one pooling."""

    backbone: str
    pooling: str
    colour: str
    dash: str


@dataclass(frozen=True, slots=True)
class _Point:
    """One layer: its x coordinate, its score and the standard error of the score."""

    ref: LayerRef
    x: float
    value: float
    error: float


def score_plot(
    choices: Sequence[LayerChoice],
    title: str,
    *,
    alone: bool = True,
    depths: Mapping[str, int] | None = None,
) -> str:
    """Draw score against relative depth, one panel per criterion, one line per backbone.

    Parameters
    ----------
    choices : sequence of LayerChoice
        One per criterion.
    title : str
        Title above all panels; truncated if too long.
    alone : bool
        Whether it is a document with its own style; otherwise the page around it has the style.
    depths : mapping of str to int, optional
        Number of the last layer of each backbone, which not every criterion scores. Default: the
        deepest layer that one of the criteria scores.

    Returns
    -------
    str
        An SVG document in light and dark mode. Chosen layers are large and ringed. Bands are 95 %
        intervals (1.96 standard errors), if standard errors are known. Each point has its numbers
        as a tooltip.

    Raises
    ------
    ShapeError
        If there is nothing to draw.
    """
    if not choices:
        raise ShapeError("Expected at least one LayerChoice to draw, got none.")
    series = _series(choices)
    depths = _deepest(choices) | dict(depths or {})
    parts, top = [write(elide(title, 44), 12.0, 22.0, "bold", size=14)], 32.0
    for choice in choices:
        parts += _panel(choice, series, depths, top)
        top += _HEAD + _PANEL + _FOOT
    top += 6
    parts += _legend(series, top, errors=any(choice.standard_errors for choice in choices))
    height = top + (len(series) + 2) * LINE + 4
    return frame(title, height, parts, _STYLE if alone else "")


def _series(choices: Sequence[LayerChoice]) -> list[_Series]:
    lines = dict.fromkeys((r.backbone, r.pooling) for c in choices for r in c.scores.refs)
    backbones = list(dict.fromkeys(backbone for backbone, _ in lines))
    series: list[_Series] = []
    for i, (backbone, pooling) in enumerate(lines):
        colour = COLOURS[backbones.index(backbone) % len(COLOURS)]
        used = {line.dash for line in series if line.colour == colour}
        dashes = [DASHES[(i + j) % len(DASHES)] for j in range(len(DASHES))]
        # The eighth backbone has the colour of the first, so its dashes must differ.
        dash = next((dash for dash in dashes if dash not in used), dashes[0])
        series.append(_Series(backbone, pooling, colour, dash))
    return series


def _deepest(choices: Sequence[LayerChoice]) -> dict[str, int]:
    """Return the deepest layer of each backbone that is scored in any panel."""
    deepest: dict[str, int] = {}
    for ref in (ref for choice in choices for ref in choice.scores.refs):
        deepest[ref.backbone] = max(ref.layer, deepest.get(ref.backbone, 0))
    return deepest


def _panel(
    choice: LayerChoice, series: Sequence[_Series], depths: Mapping[str, int], top: float
) -> Iterator[str]:
    scores = choice.scores
    errors = choice.standard_errors or (0.0,) * len(scores.values)
    pairs = list(zip(scores.values, errors, strict=True))
    low, high = enclose(v + side * 1.96 * e for v, e in pairs for side in (-1, 1))
    x = Axis(0.0, 1.0, LEFT + 6, WIDTH - RIGHT - 6)
    y = Axis(low, high, top + _HEAD + _PANEL, top + _HEAD)
    yield write(f"{elide(scores.criterion, 30)} (higher is better)", LEFT, top + 16, "bold")
    depth = "relative depth (0: embeddings, 1: last block)"
    yield from grid(_SHARES, ticks(low, high), x, y, depth)
    curves = []
    for line in series:
        refs = [r for r in scores.refs if (r.backbone, r.pooling) == (line.backbone, line.pooling)]
        deepest = max(1, depths[line.backbone])
        points = [
            _Point(ref, x(ref.layer / deepest), *pairs[scores.refs.index(ref)])
            for ref in sorted(refs)
        ]
        curves += [(line, points)] if points else []
    for draw in (_band, _curve):  # all bands first, so that none covers a line
        for line, points in curves:
            yield from draw(line, points, y)
    for line, points in curves:
        yield from _marks(line, points, y, choice)


def _band(line: _Series, points: Sequence[_Point], y: Axis) -> Iterator[str]:
    if any(point.error for point in points):
        lower, upper = (
            [(p.x, y(p.value + side * 1.96 * p.error)) for p in points] for side in (-1, 1)
        )
        yield f'<path d="{band(lower, upper)}" fill="{line.colour}" fill-opacity=".15"/>'


def _curve(line: _Series, points: Sequence[_Point], y: Axis) -> Iterator[str]:
    yield stroke(curve((p.x, y(p.value)) for p in points), line.colour, line.dash)


def _marks(line: _Series, points: Sequence[_Point], y: Axis, choice: LayerChoice) -> Iterator[str]:
    for point in points:
        chosen = point.ref in choice.selection.refs
        share = (
            "" if choice.stability is None else f", {choice.stability[point.ref]:.0%} of resamples"
        )
        ring = ' class="chosen" stroke="currentColor" stroke-width="1.6"' if chosen else ""
        yield (
            f'<circle cx="{point.x:.1f}" cy="{y(point.value):.1f}" r="{4.5 if chosen else 1.8}" '
            f'fill="{line.colour}"{ring}>'
            f"<title>{escaped(str(point.ref))}: {point.value:.4g}{share}</title></circle>"
        )


def _legend(series: Sequence[_Series], top: float, *, errors: bool) -> Iterator[str]:
    ring = '<circle cx="27" r="4.5" fill="none" stroke="currentColor" stroke-width="1.6"/>'
    yield from legend(
        [
            *((_name(line), stroke("M12 0h30", line.colour, line.dash, 2.0)) for line in series),
            ("chosen", ring),
        ],
        top,
    )
    if errors:
        top += len(series) * LINE
        box = f'x="132" y="{top + 2:g}" width="30" height="12"'
        yield f'<rect {box} fill="currentColor" opacity=".15"/>'
        yield write("95 % interval over texts", 170.0, top + 12)


def _name(line: _Series) -> str:
    return f"{elide(line.backbone, CHARACTERS - 4 - len(line.pooling))}, {line.pooling}"
