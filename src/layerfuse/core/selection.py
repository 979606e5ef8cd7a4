"""``Selection``: chosen layers and the reason. ``Stability``: how often layers are rechosen."""

from collections.abc import Iterator
from dataclasses import dataclass

from layerfuse.core.errors import SelectionError, ShapeError
from layerfuse.core.layers import LayerRef, as_refs, missing


@dataclass(frozen=True, slots=True)
class Selection:
    """Ordered, non-empty, distinct layers with the reason why they were chosen.

    Parameters
    ----------
    refs : tuple of LayerRef
        Best first, if the selector ranks layers.
    reason : str
        One line for users.

    Raises
    ------
    SelectionError
        If there is no layer or a layer appears twice.
    """

    refs: tuple[LayerRef, ...]
    reason: str

    def __post_init__(self) -> None:
        """Validate."""
        object.__setattr__(self, "refs", as_refs(self.refs))
        if not self.refs:
            msg = "A selection needs at least one layer, got none."
            raise SelectionError(msg)
        if len(set(self.refs)) != len(self.refs):
            msg = f"A selection has each layer once, got {', '.join(map(str, self.refs))}."
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
        """Return the deepest chosen layer of a backbone, after which no block needs to run.

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


@dataclass(frozen=True, slots=True)
class Stability:
    """How often each layer is chosen on resamples of the texts.

    Parameters
    ----------
    refs : tuple of LayerRef
        Every layer that was scored; one that was not a candidate has a share of 0.
    shares : tuple of float
        Share of the resamples in which each was chosen, 0 to 1.
    standard_errors : tuple of float
        Standard error of each score, from its spread over the resamples, in the score's unit; empty
        if there is only one resample.
    n_resamples : int
        Number of resamples, at least 1.

    Raises
    ------
    ShapeError
        If there is not one share and one standard error per layer.
    SelectionError
        If a share is not within 0 to 1, or there is no resample.
    """

    refs: tuple[LayerRef, ...]
    shares: tuple[float, ...]
    standard_errors: tuple[float, ...]
    n_resamples: int

    def __post_init__(self) -> None:
        """Validate."""
        if len(self.refs) != len(self.shares) or len(self.standard_errors) not in {
            len(self.refs),
            0,
        }:
            msg = (
                f"Expected one share and one standard error per layer, got {len(self.refs)} "
                f"layers, {len(self.shares)} shares, {len(self.standard_errors)} errors."
            )
            raise ShapeError(msg)
        if self.n_resamples < 1 or not all(0 <= share <= 1 for share in self.shares):
            msg = f"Expected shares within 0 to 1 of at least one resample, got {self}."
            raise SelectionError(msg)

    def __getitem__(self, ref: LayerRef) -> float:
        """Return the share of resamples in which a layer was chosen.

        Raises
        ------
        LayerError
            If the layer is not among ``refs``.
        """
        if ref not in self.refs:
            raise missing(ref, "was not resampled. Resampled", self.refs)
        return self.shares[self.refs.index(ref)]

    def __iter__(self) -> Iterator[LayerRef]:
        """Iterate over the layers."""
        return iter(self.refs)

    def __len__(self) -> int:
        """Return the number of layers."""
        return len(self.refs)
