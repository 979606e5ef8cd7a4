"""Fuse the layers of several frozen transformers into one text classifier, without fine-tuning.

Importing this package loads neither torch nor NumPy: a name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from layerfuse.backbone import Backbone, measure_costs
    from layerfuse.classifier import FusionClassifier, choose_layers
    from layerfuse.core.costs import Budget
    from layerfuse.core.errors import LayerFuseError
    from layerfuse.core.layers import LayerEmbeddings, LayerRef
    from layerfuse.core.scores import LayerScores
    from layerfuse.core.selection import Selection
    from layerfuse.data import load_texts
    from layerfuse.report import Report, compare, save_report
    from layerfuse.score import score_layers
    from layerfuse.select import select_layers, selection_stability
    from layerfuse.store import EmbeddingStore

__version__ = "0.1.0"

_HOMES = {
    "Backbone": "layerfuse.backbone",
    "Budget": "layerfuse.core.costs",
    "EmbeddingStore": "layerfuse.store",
    "FusionClassifier": "layerfuse.classifier",
    "LayerEmbeddings": "layerfuse.core.layers",
    "LayerFuseError": "layerfuse.core.errors",
    "LayerRef": "layerfuse.core.layers",
    "LayerScores": "layerfuse.core.scores",
    "Report": "layerfuse.report",
    "Selection": "layerfuse.core.selection",
    "choose_layers": "layerfuse.classifier",
    "compare": "layerfuse.report",
    "load_texts": "layerfuse.data",
    "measure_costs": "layerfuse.backbone",
    "save_report": "layerfuse.report",
    "score_layers": "layerfuse.score",
    "select_layers": "layerfuse.select",
    "selection_stability": "layerfuse.select",
}

__all__ = [
    "Backbone",
    "Budget",
    "EmbeddingStore",
    "FusionClassifier",
    "LayerEmbeddings",
    "LayerFuseError",
    "LayerRef",
    "LayerScores",
    "Report",
    "Selection",
    "choose_layers",
    "compare",
    "load_texts",
    "measure_costs",
    "save_report",
    "score_layers",
    "select_layers",
    "selection_stability",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
