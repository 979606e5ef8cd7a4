"""Tables of layers, criteria and sources."""

from itertools import zip_longest

from layerfuse.core.escape import quoted
from layerfuse.core.layers import LayerRef
from layerfuse.report.contents.numbers import percent, yes
from layerfuse.report.contents.table import Table
from layerfuse.report.document import Report


def layer_table(report: Report) -> Table:
    """Return the score of every layer, with its standard error if known."""
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
    """Return the parts of the classifier, with one row of layers per backbone and pooling."""
    layers: dict[str, list[str]] = {}
    for ref in map(LayerRef.parse, report.selection):
        layers.setdefault(f"{ref.backbone}, {ref.pooling}", []).append(f"{ref.layer}")
    return Table(
        "Layers, fusion and head",
        ("part", "choice"),
        (
            *((source, f"layers {', '.join(numbers)}") for source, numbers in layers.items()),
            *((f"{name}, prompt", quoted(prompt)) for name, prompt in report.prompts.items()),
            ("why these layers", report.reason),
            ("fusion", report.fusion),
            ("head", report.head),
            ("TF-IDF head", "in the ensemble" if report.lexical else "not used"),
        ),
    )


def agreement_table(report: Report) -> Table:
    """Return the rank correlation of all pairs of criteria."""
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
    """Return the weights of the sources."""
    return Table(
        "Weights of the sources on the test texts",
        ("source", "mean", "5th percentile", "95th percentile"),
        tuple((g.name, f"{g.mean:.3f}", f"{g.low:.3f}", f"{g.high:.3f}") for g in report.gates),
    )


def pair_table(report: Report) -> Table:
    """Return how all pairs of backbones complement each other."""
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
