"""``Selection``: the chosen layers and why."""

from collections.abc import Iterator
from dataclasses import dataclass

from layerfuse.core.errors import SelectionError
from layerfuse.core.layers import LayerRef


@dataclass(frozen=True, slots=True)
class Selection:
    """Ordered, non-empty, duplicate-free layers with the reason they were chosen.

    Parameters
    ----------
    refs : tuple of LayerRef
        Best first where the selector knows an order.
    reason : str
        One line for a person.

    Raises
    ------
    SelectionError
        If there is no layer or one stands twice.
    """

    refs: tuple[LayerRef, ...]
    reason: str

    def __post_init__(self) -> None:
        """Validate."""
        if not self.refs:
            msg = "A selection needs at least one layer, got none."
            raise SelectionError(msg)
        if len(set(self.refs)) != len(self.refs):
            msg = f"A selection holds each layer once, got {', '.join(map(str, self.refs))}."
            raise SelectionError(msg)

    def __iter__(self) -> Iterator[LayerRef]:
        """Iterate over the layers."""
        return iter(self.refs)

    def __len__(self) -> int:
        """Return the number of layers."""
        return len(self.refs)

    def __str__(self) -> str:
        return ", ".join(str(ref) for ref in self.refs)

    @property
    def backbones(self) -> tuple[str, ...]:
        """Names of the backbones in use, in order of first appearance."""
        return tuple(dict.fromkeys(ref.backbone for ref in self.refs))

    def deepest(self, backbone: str) -> int:
        """Return the deepest chosen layer of a backbone: what its blocks must run to.

        Raises
        ------
        SelectionError
            If no layer of that backbone was chosen.
        """
        layers = [ref.layer for ref in self.refs if ref.backbone == backbone]
        if not layers:
            msg = f"No layer of {backbone} was selected; selected: {self}."
            raise SelectionError(msg)
        return max(layers)
