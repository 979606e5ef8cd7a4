"""``LayerRef`` names one layer; ``LayerEmbeddings`` holds the pooled states of layers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np

from layerfuse.core.arrays import Features, LayerArray
from layerfuse.core.errors import LayerError, ShapeError, as_integer, check_option

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
        if as_integer("layer", self.layer) < 0:
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


def as_refs(refs: Any) -> tuple[LayerRef, ...]:
    """Return one ref or several, in any iterable, as a tuple.

    Raises
    ------
    LayerError
        If they are something else than LayerRefs, such as their names.
    """
    given = tuple(refs) if isinstance(refs, Iterable) and not isinstance(refs, str) else (refs,)
    for ref in given:
        if not isinstance(ref, LayerRef):
            raise LayerError(f"Expected a tuple of LayerRef, got {_described(ref)}.")
    return given


def missing(ref: object, what: str, there: Iterable[object]) -> LayerError:
    """Return the error for a layer that is not there, or for something that names none.

    Parameters
    ----------
    ref : LayerRef, or a caller's mistake
        The layer.
    what : str
        What is not true of it, such as ``was not scored. Scored``.
    there : iterable
        The layers of which it is true.
    """
    if not isinstance(ref, LayerRef):
        return LayerError(f"Expected a LayerRef, got {_described(ref)}.")
    return LayerError(f"{ref} {what}: {', '.join(map(str, there))}.")


def _described(wrong: object) -> str:
    """Describe what is no LayerRef, and how to get one from its name."""
    if isinstance(wrong, str):
        return f"the string {wrong!r}: LayerRef.parse reads the name of a layer"
    return type(wrong).__name__


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
    LayerError
        If ``refs`` are not LayerRefs.

    Examples
    --------
    Features of any origin, such as those of three steps of a pipeline of one's own:

    >>> features = np.zeros((3, 40, 8))  # (step, text, feature)
    >>> steps = tuple(LayerRef("own", step, "mean") for step in range(3))
    >>> LayerEmbeddings(features.astype(np.float32), steps).hidden_size
    8
    """

    values: LayerArray
    refs: tuple[LayerRef, ...]

    def __post_init__(self) -> None:
        """Validate."""
        values: Any = self.values
        if not isinstance(values, np.ndarray):
            msg = f"Expected a float32 array (layer, text, hidden), got {type(values).__name__}."
            raise ShapeError(msg)
        if self.values.ndim != 3 or self.values.dtype != np.float32:  # noqa: PLR2004
            msg = (
                "Expected a float32 array (layer, text, hidden), "
                f"got {self.values.dtype} {self.values.shape}."
            )
            if self.values.ndim == 3:  # noqa: PLR2004
                msg += " Convert it by astype(numpy.float32)."
            raise ShapeError(msg)
        object.__setattr__(self, "refs", as_refs(self.refs))
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
            raise missing(ref, "is not among these embeddings. They contain", self.refs)
        matrix: Features = self.values[self.refs.index(ref)]
        return matrix

    def take(self, positions: Iterable[int] | np.ndarray) -> "LayerEmbeddings":
        """Return the same layers for some of the texts, in the order given.

        Raises
        ------
        ShapeError
            If positions are not integers, as those of a mask.
        """
        rows = self.values[:, as_positions(positions)]
        return LayerEmbeddings(np.ascontiguousarray(rows), self.refs)


def as_positions(positions: Any) -> np.ndarray:
    """Return the positions of texts as an array.

    Raises
    ------
    ShapeError
        If they are not one row of integers, as those of a mask, which would be texts 0 and 1.
    """
    index = np.array(positions.tolist() if hasattr(positions, "tolist") else list(positions))
    if index.ndim != 1 or (len(index) and index.dtype.kind not in "iu"):
        raise ShapeError(
            f"Expected the positions of texts, got an array of {index.dtype} and shape "
            f"{index.shape}. numpy.flatnonzero gives those of a mask."
        )
    return index.astype(np.int64)


def as_blocks(embeddings: Any) -> list[LayerRows]:
    """Return the embeddings of one backbone or of several as a list.

    Raises
    ------
    ShapeError
        If there are none, or they are something else, such as an array.
    """
    several = isinstance(embeddings, Iterable) and not _reads_rows(embeddings)
    blocks = list(embeddings) if several else [embeddings]
    wrong = [block for block in blocks if not _reads_rows(block)]
    if wrong:
        inside = f" of {type(wrong[0]).__name__}" if several else ""
        raise ShapeError(
            f"Expected LayerEmbeddings, or a list of them, got {type(embeddings).__name__}{inside}."
            " Backbone.embed(texts) returns them; LayerEmbeddings(values, refs) holds features of "
            "another origin."
        )
    if not blocks:
        raise ShapeError("Expected the embeddings of at least one backbone, got none.")
    return blocks


def _reads_rows(one: Any) -> bool:
    # From Python 3.12 on, isinstance with a protocol ignores __getattr__, as wrappers have it.
    return all(hasattr(one, name) for name in ("backbone", "refs", "n_texts", "row"))
