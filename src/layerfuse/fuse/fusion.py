"""What a fusion is: feature blocks in, one vector per text out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from layerfuse.core.arrays import Block, ClassIndices, Features, Gates, PerText
from layerfuse.core.errors import FeatureError, ShapeError
from layerfuse.core.folds import separable_groups
from layerfuse.core.layers import LayerRef
from layerfuse.core.sample import distinct_texts
from layerfuse.core.vectors import Vectors


@dataclass(frozen=True, slots=True, eq=False)
class Supervision:
    """What a fusion may learn from besides the blocks, the training texts' only.

    Parameters
    ----------
    labels : int array of shape (text,)
        Class indices 0 .. n_classes - 1, each present.
    weights : array of shape (text,)
        Positive weight of each text.
    random_state : int
        Draws whatever is drawn.
    progress : bool
        Show progress bars if standard error is a terminal.
    groups : int array of shape (text,), optional
        Texts that repeat each other, which are held out together, from ``separable_groups``.
        Default: none do.
    copies : int array of shape (text,), optional
        A number for each text, the same for equal ones. Default: none are.
    """

    labels: ClassIndices
    weights: PerText
    random_state: int = 0
    progress: bool = False
    groups: np.ndarray | None = None
    copies: np.ndarray | None = None

    @classmethod
    def of(cls, labels: ClassIndices, random_state: int = 0) -> "Supervision":
        """Return labels with texts that all weigh the same."""
        return cls(labels, np.ones(len(labels)), random_state)

    def of_texts(self, rows: np.ndarray) -> "Supervision":
        """Return the same of some texts only."""
        labels, groups, copies = self.labels[rows], self.groups, self.copies
        return replace(
            self,
            labels=labels,
            weights=self.weights[rows],
            groups=None if groups is None else separable_groups(labels, groups[rows]),
            copies=None if copies is None else copies[rows],
        )

    def distinct(self) -> np.ndarray:
        """Return positions of texts that do not repeat each other, as ``distinct_texts`` does."""
        return distinct_texts(self.labels, self.groups, self.copies)


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
