"""Plots of layers, criteria and sources."""

from itertools import chain

from layerfuse.core.choice import LayerChoice
from layerfuse.core.escape import elide, one_line
from layerfuse.core.layers import LayerRef
from layerfuse.core.scores import LayerScores
from layerfuse.core.selection import Selection
from layerfuse.report.document import Report
from layerfuse.report.drawing import COLOURS
from layerfuse.report.facts import LayerLine
from layerfuse.report.plots import heatmap, rows
from layerfuse.report.plots.score_plot import score_plot


def layer_plot(report: Report) -> str:
    """Draw score by layer, a line for each backbone and pooling."""
    lines = [(line, _refs(line)) for line in report.layers]
    scores = LayerScores(
        report.criterion,
        tuple(chain.from_iterable(refs for _, refs in lines)),
        tuple(chain.from_iterable(line.scores for line, _ in lines)),
        tuple(chain.from_iterable(line.standard_errors for line, _ in lines)),
    )
    chosen = tuple(
        ref
        for line, refs in lines
        for ref, is_chosen in zip(refs, line.chosen, strict=True)
        if is_chosen
    )
    choice = LayerChoice(scores, Selection(chosen, report.reason))
    return score_plot([choice], "Score by layer", alone=False)


def _refs(line: LayerLine) -> tuple[LayerRef, ...]:
    return tuple(LayerRef(line.backbone, layer, line.pooling) for layer in line.layers)  # type: ignore[arg-type]


def depth_map(report: Report) -> str:
    """Draw every layer's score as a shade, a row for each backbone and pooling."""
    scores = [score for line in report.layers for score in line.scores]
    low, high = min(scores), max(scores)
    drawn = [
        heatmap.Row(
            f"{line.backbone}:{line.pooling}",
            tuple(
                heatmap.Cell(
                    (score - low) / (high - low) if high > low else 0.0,
                    f"{line.backbone}:{layer}:{line.pooling}: {score:.4g}",
                    is_ringed=chosen,
                )
                for layer, score, chosen in zip(line.layers, line.scores, line.chosen, strict=True)
            ),
        )
        for line in report.layers
    ]
    return heatmap.heatmap(
        "Heat map: score of every layer, by backbone and relative depth",
        drawn,
        "depth, from embeddings; framed: in use",
        (f"{low:.4g}", f"{high:.4g}"),
    )


def agreement_map(report: Report) -> str:
    """Draw the rank correlation of every two criteria as a shade."""
    criteria = list(report.agreement)
    few = len(criteria) <= 8  # noqa: PLR2004 - numbers of more would touch
    drawn = [
        heatmap.Row(
            heatmap.with_number(i, name),
            tuple(
                heatmap.Cell(
                    row[other],
                    f"{name} and {other}: {row[other]:.2f}",
                    f"{row[other]:.2f}" if few else "",
                )
                if other in row
                else heatmap.Cell(0.0, "")
                for other in criteria
            ),
        )
        for i, (name, row) in enumerate(report.agreement.items(), 1)
    ]
    return heatmap.heatmap(
        "Heat map: rank correlation of all pairs of criteria",
        drawn,
        "criterion, by its number",
        ("-1: opposite order", "1: same order"),
        columns=[f"{i}" for i in range(1, len(criteria) + 1)],
        both_signs=True,
    )


def gate_plot(report: Report) -> str:
    """Draw the mean weight of every source, with its 5th to 95th percentile over texts."""
    drawn = [
        rows.Row(
            gate.name, (rows.Mark(gate.mean, "mean"),), (gate.low, gate.high), f"{gate.mean:.2f}"
        )
        for gate in report.gates
    ]
    title = "weight (bar: 5th to 95th percentile of texts)"
    return rows.rows_plot("Weight of every source", drawn, title)


def pair_plot(report: Report) -> str:
    """Draw the similarity of all pairs of backbones, and how they complement each other."""
    drawn = [
        rows.Row(
            f"{pair.first} + {pair.second}",
            (
                rows.Mark(pair.disagreement, "exactly one correct", "square", COLOURS[1]),
                rows.Mark(pair.cka, "CKA (similarity)"),
                rows.Mark(pair.oracle, "at least one correct", "diamond", COLOURS[2]),
            ),
            shown=_pair_name(pair.first, pair.second),
        )
        for pair in report.pairs
    ]
    return rows.rows_plot(
        "How pairs of backbones complement each other", drawn, "share", percent=True
    )


def _pair_name(first: str, second: str) -> str:
    """Return two names on one line; if too long, both are shortened to keep pairs distinct."""
    names = f"{first} + {second}"
    if len(one_line(names)) <= rows.NAME_ALONE:
        return one_line(names)
    half = (rows.NAME_ALONE - len(" + ")) // 2
    return f"{elide(first, half)} + {elide(second, half)}"
