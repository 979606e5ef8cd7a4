"""Choose layers by LayerScores; one selector per file."""

from layerfuse.select.layers import (
    SELECTOR_NAMES,
    SelectorName,
    most_layers,
    needs_embeddings,
    select_layers,
)
from layerfuse.select.stability import selection_stability

__all__ = [
    "SELECTOR_NAMES",
    "SelectorName",
    "most_layers",
    "needs_embeddings",
    "select_layers",
    "selection_stability",
]
