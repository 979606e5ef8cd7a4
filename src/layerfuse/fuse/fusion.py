"""What a fusion is: feature blocks in, one vector per text out."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from layerfuse.core.arrays import Block, Features, Gates
from layerfuse.core.errors import FeatureError, ShapeError
from layerfuse.core.layers import LayerRef
from layerfuse.core.supervision import Supervision
from layerfuse.core.vectors import Vectors


@runtime_checkable
class Fusion(Protocol):
    """Fitted fusion of the selected blocks; its whole state is a dict of arrays."""

    @classmethod
    def fit_fuse(
        cls, blocks: Sequence[Block], refs: Sequence[LayerRef], supervision: Supervision
    ) -> tuple["Fusion", Vectors]:
        """Learn from training texts; blocks and refs are in the same order.

        Returns
        -------
        fusion : Fusion
            Fitted.
        vectors : float32 array of shape (text, out_width), or what multiplies like one
            The training texts, fused; where that depends much on their own labels, as a fusion
            fuses that did not see them, so that a head does not trust in them too much.
        """
        ...

    @property
    def out_width(self) -> int:
        """Width of the fused vector."""
        ...

    def fuse(self, blocks: Sequence[Block]) -> Features:
        """Return (text, out_width) float32 vectors."""
        ...

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the whole state."""
        ...

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Fusion":
        """Rebuild from ``arrays``."""
        ...


@runtime_checkable
class GatedFusion(Protocol):
    """A fusion that tells how much each source counts."""

    def gates(self, blocks: Sequence[Block]) -> Gates:
        """Return weights (text, source) from 0 up; how they sum is the fusion's to say."""
        ...

    def gate_names(self, refs: Sequence[LayerRef]) -> tuple[str, ...]:
        """Return what each column of ``gates`` stands for."""
        ...


def check_blocks(
    blocks: Sequence[Block], refs: Sequence[LayerRef], supervision: Supervision
) -> None:
    """Check what a fusion is to learn from.

    Raises
    ------
    ShapeError
        If there is not one block per layer, or they are not of the labelled texts.
    FeatureError
        If a block holds NaN or infinity; the message names the layer.
    """
    if not blocks or len(blocks) != len(refs):
        raise ShapeError(f"Expected one block per layer, got {len(blocks)} for {len(refs)}.")
    n_texts = len(supervision.labels)
    for block, ref in zip(blocks, refs, strict=True):  # once: they may be read from a disk
        if len(block) != n_texts:
            raise ShapeError(
                f"Expected blocks of the {n_texts} labelled texts, got {len(block)} at {ref}."
            )
        if not np.isfinite(block).all():
            raise FeatureError(f"Expected finite embeddings, found NaN or infinity in {ref}.")
