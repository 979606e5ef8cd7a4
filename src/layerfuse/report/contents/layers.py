"""What the report tells of layers and sources, as tables."""

from itertools import zip_longest

from layerfuse.core.escape import quoted
from layerfuse.core.layers import LayerRef
from layerfuse.report.contents.numbers import percent, yes
from layerfuse.report.contents.table import Table
from layerfuse.report.document import Report


def layer_table(report: Report) -> Table:
    """Return the score of every layer, with its standard error where it is known."""
    return Table(
        f"Every layer's {report.criterion} (higher is better)",
        ("layer", "score", "standard error", "in use"),
        tuple(
            (
                f"{line.backbone}:{layer}:{line.pooling}",
                f"{score:.4f}",
                "" if error is None else f"{error:.4f}",
                yes(chosen),
            )
            for line in report.layers
            for layer, score, error, chosen in zip_longest(
                line.layers, line.scores, line.standard_errors, line.chosen
            )
        ),
    )


def selection_table(report: Report) -> Table:
    """Return what the classifier is made of, the layers of a backbone and pooling on one row."""
    layers: dict[str, list[str]] = {}
    for ref in map(LayerRef.parse, report.selection):
        layers.setdefault(f"{ref.backbone}, {ref.pooling}", []).append(f"{ref.layer}")
    return Table(
        "Layers, fusion and head",
        ("part", "choice"),
        (
            *((source, f"layers {', '.join(own)}") for source, own in layers.items()),
            *((f"{name}, prompt", quoted(prompt)) for name, prompt in report.prompts.items()),
            ("why these layers", report.reason),
            ("fusion", report.fusion),
            ("head", report.head),
            ("TF-IDF head", "in the ensemble" if report.lexical else "not used"),
        ),
    )


def agreement_table(report: Report) -> Table:
    """Return the rank correlation of every two criteria."""
    criteria = tuple(report.agreement)
    return Table(
        "Rank correlation of criteria over all layers",
        ("criterion", *criteria),
        tuple(
            (
                name,
                *(f"{row[other]:.2f}" if other in row else "" for other in criteria),
            )
            for name, row in report.agreement.items()
        ),
    )


def gate_table(report: Report) -> Table:
    """Return how much each source counts."""
    return Table(
        "Weights of the sources on the test texts",
        ("source", "mean", "5th percentile", "95th percentile"),
        tuple((g.name, f"{g.mean:.3f}", f"{g.low:.3f}", f"{g.high:.3f}") for g in report.gates),
    )


def pair_table(report: Report) -> Table:
    """Return how every two backbones complement each other."""
    return Table(
        "How pairs of backbones complement each other, with a head on the best layer of each",
        ("first", "second", "CKA", "exactly one correct", "at least one correct"),
        tuple(
            (p.first, p.second, f"{p.cka:.2f}", percent(p.disagreement), percent(p.oracle))
            for p in report.pairs
        ),
        "Two backbones complement each other where their CKA is low and they err on different "
        "texts.",
    )
