"""``score_plot``: the score of each layer, as SVG written by hand, without a plotting library."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from layerfuse.core.choice import LayerChoice
from layerfuse.core.errors import ShapeError
from layerfuse.core.escape import elide
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
    enclose,
    frame,
    grid,
    legend,
    stroke,
    ticks,
    write,
)
from layerfuse.report.plots.points import Point, Series, series_in

_PANEL, _HEAD, _FOOT = 170.0, 26.0, 40.0
_RADIUS = 1.8  # of points, which are many
_SHARES = tuple((share, f"{share:g}") for share in (0.0, 0.25, 0.5, 0.75, 1.0))

_Line = tuple[str, str]  # backbone and pooling

_STYLE = """
svg { background: #fff; color: #1a1a1a; max-width: 720px }
text { font: 12px system-ui, sans-serif; fill: currentColor }
.ground { fill: #fff }
@media (prefers-color-scheme: dark) {
  svg { background: #15181c; color: #e6e6e6 }
  .ground { fill: #15181c }
}
"""


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
    styles = _styles(choices)
    depths = _deepest(choices) | dict(depths or {})
    parts, top = [write(elide(title, 44), 12.0, 22.0, "bold", size=14)], 32.0
    for choice in choices:
        parts += _panel(choice, styles, depths, top)
        top += _HEAD + _PANEL + _FOOT
    top += 6
    parts += _legend(
        [*styles.values()], top, errors=any(choice.standard_errors for choice in choices)
    )
    height = top + (len(styles) + 2) * LINE + 4
    return frame(title, height, parts, _STYLE if alone else "")


def _styles(choices: Sequence[LayerChoice]) -> dict[_Line, Series]:
    """Return the name, colour and dashes of every line, still without points."""
    lines = dict.fromkeys((r.backbone, r.pooling) for c in choices for r in c.scores.refs)
    backbones = list(dict.fromkeys(backbone for backbone, _ in lines))
    styles: dict[_Line, Series] = {}
    for i, (backbone, pooling) in enumerate(lines):
        colour = COLOURS[backbones.index(backbone) % len(COLOURS)]
        used = {style.dash for style in styles.values() if style.colour == colour}
        dashes = [DASHES[(i + j) % len(DASHES)] for j in range(len(DASHES))]
        # The eighth backbone has the colour of the first, so its dashes must differ.
        dash = next((dash for dash in dashes if dash not in used), dashes[0])
        name = f"{elide(backbone, CHARACTERS - 4 - len(pooling))}, {pooling}"
        styles[backbone, pooling] = Series(name, (), colour, dash)
    return styles


def _deepest(choices: Sequence[LayerChoice]) -> dict[str, int]:
    """Return the deepest layer of each backbone that is scored in any panel."""
    deepest: dict[str, int] = {}
    for ref in (ref for choice in choices for ref in choice.scores.refs):
        deepest[ref.backbone] = max(ref.layer, deepest.get(ref.backbone, 0))
    return deepest


def _panel(
    choice: LayerChoice, styles: Mapping[_Line, Series], depths: Mapping[str, int], top: float
) -> Iterator[str]:
    ends = _intervals(choice)
    low, high = enclose(end for interval in ends.values() for end in interval)
    x = Axis(0.0, 1.0, LEFT + 6, WIDTH - RIGHT - 6)
    y = Axis(low, high, top + _HEAD + _PANEL, top + _HEAD)
    yield write(f"{elide(choice.scores.criterion, 30)} (higher is better)", LEFT, top + 16, "bold")
    depth = "relative depth (0: embeddings, 1: last block)"
    yield from grid(_SHARES, ticks(low, high), x, y, depth)
    series = []
    for (backbone, pooling), style in styles.items():
        refs = sorted(r for r in ends if (r.backbone, r.pooling) == (backbone, pooling))
        points = tuple(_point(ref, choice, max(1, depths[backbone])) for ref in refs)
        spread = tuple(ends[ref] for ref in refs)
        known = any(low < high for low, high in spread)
        series.append(replace(style, points=points, band=spread if known else ()))
    yield from series_in(series, x, y)


def _intervals(choice: LayerChoice) -> dict[LayerRef, tuple[float, float]]:
    """Return the 95 % interval of every score; both ends are the score if there are no errors."""
    scores = choice.scores
    errors = choice.standard_errors or (0.0,) * len(scores.values)
    rows = zip(scores.refs, scores.values, errors, strict=True)
    return {ref: (value - 1.96 * error, value + 1.96 * error) for ref, value, error in rows}


def _point(ref: LayerRef, choice: LayerChoice, n_blocks: int) -> Point:
    stability, value = choice.stability, choice.scores[ref]
    share = "" if stability is None else f", {stability[ref]:.0%} of resamples"
    words = f"{ref}: {value:.4g}{share}"
    is_chosen = ref in choice.selection.refs
    return Point(ref.layer / n_blocks, value, words, is_ringed=is_chosen, radius=_RADIUS)


def _legend(series: Sequence[Series], top: float, *, errors: bool) -> Iterator[str]:
    ring = '<circle cx="27" r="4.5" fill="none" stroke="currentColor" stroke-width="1.6"/>'
    yield from legend(
        [
            *((one.name, stroke("M12 0h30", one.colour, one.dash, 2.0)) for one in series),
            ("chosen", ring),
        ],
        top,
    )
    if errors:
        top += len(series) * LINE
        box = f'x="132" y="{top + 2:g}" width="30" height="12"'
        yield f'<rect {box} fill="currentColor" opacity=".15"/>'
        yield write("95 % interval over texts", 170.0, top + 12)
