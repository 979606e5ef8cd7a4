"""The protocol of a fusion, which maps feature blocks to one vector per text."""

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
    """A fitted fusion of the selected blocks; its whole state is a dict of arrays."""

    @classmethod
    def fit_fuse(
        cls, blocks: Sequence[Block], refs: Sequence[LayerRef], supervision: Supervision
    ) -> tuple["Fusion", Vectors]:
        """Fit on the training texts and fuse them; blocks and refs are in the same order.

        Returns
        -------
        fusion : Fusion
            The fitted fusion.
        vectors : float32 array of shape (text, out_width), or StreamedVectors
            The fused training texts. If the fusion learns much from labels, each text is fused as
            if unseen, so that the head does not trust the vectors too much.
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
    """A fusion with weights of sources or layers."""

    def gates(self, blocks: Sequence[Block]) -> Gates:
        """Return non-negative weights (text, source or layer); each fusion defines their sums."""
        ...

    def gate_names(self, refs: Sequence[LayerRef]) -> tuple[str, ...]:
        """Return the name of each column of ``gates``."""
        ...


def check_blocks(
    blocks: Sequence[Block], refs: Sequence[LayerRef], supervision: Supervision
) -> None:
    """Check the training data of a fusion.

    Raises
    ------
    ShapeError
        If there is not one block per layer, or blocks and labels differ in the number of texts.
    FeatureError
        If a block holds NaN or infinity; the message names the layer.
    """
    if not blocks or len(blocks) != len(refs):
        raise ShapeError(
            f"Expected one block per layer, got {len(blocks)} blocks for {len(refs)} layers."
        )
    n_texts = len(supervision.labels)
    for block, ref in zip(blocks, refs, strict=True):  # one pass: they may be read from a disk
        if len(block) != n_texts:
            raise ShapeError(
                f"Expected blocks of the {n_texts} labelled texts, got {len(block)} texts at {ref}."
            )
        if not np.isfinite(block).all():
            raise FeatureError(f"Expected finite embeddings, found NaN or infinity in {ref}.")
