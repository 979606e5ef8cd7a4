"""LayerScores to a Selection; one selector per file."""

from layerfuse.select.layers import SelectorName, select_layers

__all__ = ["SelectorName", "select_layers"]
