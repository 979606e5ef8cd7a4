"""``LayerRef`` names one layer; ``LayerEmbeddings`` holds the pooled states of layers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol, get_args, runtime_checkable

import numpy as np

from layerfuse.core.arrays import Features, LayerArray
from layerfuse.core.errors import LayerError, ShapeError, check_option

Pooling = Literal["mean", "first", "last", "max", "weighted_mean"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)


@dataclass(frozen=True, slots=True, order=True)
class LayerRef:
    """One layer of one backbone under one pooling.

    Parameters
    ----------
    backbone : str
        Name of the backbone.
    layer : int
        0 is the embedding output; i is the raw output of block i, before any final norm.
    pooling : Pooling
        How token states are reduced to one vector.

    Examples
    --------
    >>> str(LayerRef("roberta-base", 9, "mean"))
    'roberta-base:9:mean'
    >>> LayerRef.parse("org/model:3:last").backbone
    'org/model'
    """

    backbone: str
    layer: int
    pooling: Pooling

    def __post_init__(self) -> None:
        """Validate."""
        check_option("pooling", self.pooling, POOLINGS)
        if self.layer < 0:
            msg = f"layer={self.layer} of {self.backbone}: expected 0 (embeddings) or higher."
            raise LayerError(msg)

    def __str__(self) -> str:
        return f"{self.backbone}:{self.layer}:{self.pooling}"

    @classmethod
    def parse(cls, text: str) -> "LayerRef":
        """Read the form that ``str`` writes.

        Raises
        ------
        LayerError
            If the text is not ``backbone:layer:pooling``.
        """
        parts = text.rsplit(":", 2)
        if len(parts) != 3 or not parts[1].isdecimal():  # noqa: PLR2004
            msg = (
                f"{text!r} does not name a layer. Expected backbone:layer:pooling, such as "
                "bert-base:8:mean."
            )
            raise LayerError(msg)
        return cls(parts[0], int(parts[1]), parts[2])  # type: ignore[arg-type]


@runtime_checkable
class LayerRows(Protocol):
    """Interface of scoring and selection to the layers of one backbone, read one at a time.

    ``LayerEmbeddings`` holds them in memory. ``extract.StoredEmbeddings`` reads each from disk when
    it is used, so that embeddings larger than memory can be scored.
    """

    @property
    def backbone(self) -> str:
        """Name of the backbone."""
        ...

    @property
    def refs(self) -> tuple[LayerRef, ...]:
        """The layers."""
        ...

    @property
    def n_texts(self) -> int:
        """Number of texts."""
        ...

    def row(self, ref: LayerRef) -> Features:
        """Return the (text, hidden) matrix of one layer."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class LayerEmbeddings:
    """Pooled hidden states of one backbone.

    Parameters
    ----------
    values : float32 array of shape (layer, text, hidden)
        Each row is one contiguous (text, hidden) matrix.
    refs : tuple of LayerRef
        One per row; a layer under two poolings has two rows.

    Raises
    ------
    ShapeError
        If the array is not float32 with three axes, or ``refs`` does not have exactly one distinct
        ref per row, all of one backbone.
    """

    values: LayerArray
    refs: tuple[LayerRef, ...]

    def __post_init__(self) -> None:
        """Validate."""
        if self.values.ndim != 3 or self.values.dtype != np.float32:  # noqa: PLR2004
            msg = (
                "Expected a float32 array (layer, text, hidden), "
                f"got {self.values.dtype} {self.values.shape}."
            )
            raise ShapeError(msg)
        if len(self.refs) != len(self.values) or len(set(self.refs)) != len(self.refs):
            msg = f"Expected {len(self.values)} distinct layer refs, one per row; got {self.refs}."
            raise ShapeError(msg)
        if len({ref.backbone for ref in self.refs}) != 1:
            msg = f"Expected the layers of exactly one backbone, got {self.refs}."
            raise ShapeError(msg)

    @property
    def backbone(self) -> str:
        """Name of the backbone."""
        return self.refs[0].backbone

    @property
    def n_texts(self) -> int:
        """Number of texts."""
        return int(self.values.shape[1])

    @property
    def hidden_size(self) -> int:
        """Width of one layer."""
        return int(self.values.shape[2])

    def row(self, ref: LayerRef) -> Features:
        """Return the (text, hidden) matrix of one layer, without a copy.

        Raises
        ------
        LayerError
            If the layer is not among the rows.
        """
        if ref not in self.refs:
            have = ", ".join(str(r) for r in self.refs)
            msg = f"{ref} is not among these embeddings. They contain: {have}."
            raise LayerError(msg)
        matrix: Features = self.values[self.refs.index(ref)]
        return matrix

    def take(self, positions: Iterable[int]) -> "LayerEmbeddings":
        """Return the same layers for some of the texts, in the order given."""
        index = np.fromiter(positions, dtype=np.int64)
        return LayerEmbeddings(np.ascontiguousarray(self.values[:, index]), self.refs)
