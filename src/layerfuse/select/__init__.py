"""LayerScores to a Selection; one selector per file."""

from layerfuse.select.layers import SELECTOR_NAMES, SelectorName, needs_embeddings, select_layers
from layerfuse.select.stability import selection_stability
from layerfuse.select.upper_half import upper_refs

__all__ = [
    "SELECTOR_NAMES",
    "SelectorName",
    "needs_embeddings",
    "select_layers",
    "selection_stability",
    "upper_refs",
]
