"""``Supervision``: what fusions and heads learn from besides their inputs, one value for all."""

from dataclasses import dataclass, replace

import numpy as np

from layerfuse.core.arrays import ClassIndices, PerText
from layerfuse.core.folds import held_out_weights, separable_groups, stratified_folds
from layerfuse.core.sample import distinct_texts


@dataclass(frozen=True, slots=True, eq=False)
class Supervision:
    """What may be learned from besides the features, the training texts' only.

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
    def of(
        cls,
        labels: ClassIndices,
        random_state: int = 0,
        *,
        weights: PerText | None = None,
        groups: np.ndarray | None = None,
    ) -> "Supervision":
        """Return labels with weights that are equal by default, and groups made separable."""
        return cls(
            labels,
            np.ones(len(labels)) if weights is None else weights,
            random_state,
            groups=None if groups is None else separable_groups(labels, groups),
        )

    @property
    def n_classes(self) -> int:
        """How many classes there are."""
        return int(self.labels.max()) + 1

    def of_texts(self, rows: np.ndarray) -> "Supervision":
        """Return the same of some texts only, as if there were no others."""
        part = self.part(rows)
        if part.groups is None:
            return part
        return replace(part, groups=separable_groups(part.labels, part.groups))

    def part(self, rows: np.ndarray) -> "Supervision":
        """Return the same of a part of the texts, in the groups and classes of all.

        Of both, some numbers may be missing then.
        """
        groups, copies = self.groups, self.copies
        return replace(
            self,
            labels=self.labels[rows],
            weights=self.weights[rows],
            groups=None if groups is None else groups[rows],
            copies=None if copies is None else copies[rows],
        )

    def folds(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return (training rows, held-out rows), as ``stratified_folds`` does."""
        return stratified_folds(self.labels, self.random_state, self.groups)

    def held_out_weights(self) -> PerText:
        """Return what each text counts where it is held out, as ``held_out_weights`` does."""
        return held_out_weights(self.labels, self.weights)

    def distinct(self) -> np.ndarray:
        """Return positions of texts that do not repeat each other, as ``distinct_texts`` does."""
        return distinct_texts(self.labels, self.groups, self.copies)
