"""Fuse the layers of several frozen transformers into one text classifier, without fine-tuning.

Importing this package loads neither torch nor NumPy: a name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from layerfuse.backbone import Backbone
    from layerfuse.classifier import FusionClassifier
    from layerfuse.core.errors import LayerFuseError
    from layerfuse.core.layers import LayerEmbeddings, LayerRef
    from layerfuse.core.scores import LayerScores
    from layerfuse.core.selection import Selection
    from layerfuse.data import load_texts
    from layerfuse.score import score_layers
    from layerfuse.select import select_layers
    from layerfuse.store import EmbeddingStore

__version__ = "0.1.0"

_HOMES = {
    "Backbone": "layerfuse.backbone",
    "EmbeddingStore": "layerfuse.store",
    "FusionClassifier": "layerfuse.classifier",
    "LayerEmbeddings": "layerfuse.core.layers",
    "LayerFuseError": "layerfuse.core.errors",
    "LayerRef": "layerfuse.core.layers",
    "LayerScores": "layerfuse.core.scores",
    "Selection": "layerfuse.core.selection",
    "load_texts": "layerfuse.data",
    "score_layers": "layerfuse.score",
    "select_layers": "layerfuse.select",
}

__all__ = [
    "Backbone",
    "EmbeddingStore",
    "FusionClassifier",
    "LayerEmbeddings",
    "LayerFuseError",
    "LayerRef",
    "LayerScores",
    "Selection",
    "load_texts",
    "score_layers",
    "select_layers",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
