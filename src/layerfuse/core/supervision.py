"""``Supervision``: labels, weights, groups and seed, from which fusions and heads learn."""

from dataclasses import dataclass, replace

import numpy as np

from layerfuse.core.arrays import ClassIndices, PerText
from layerfuse.core.folds import held_out_weights, separable_groups, stratified_folds
from layerfuse.core.sample import distinct_texts


@dataclass(frozen=True, slots=True, eq=False)
class Supervision:
    """Everything that fusions and heads learn from besides the features, of training texts only.

    Parameters
    ----------
    labels : int array of shape (text,)
        Class indices 0 .. n_classes - 1, each present.
    weights : array of shape (text,)
        Positive weight of each text.
    random_state : int
        Seed of every random draw.
    progress : bool
        Show progress bars if standard error is a terminal.
    groups : int array of shape (text,), optional
        Groups of near-duplicates, which are held out together, from ``separable_groups``. Default:
        there are none.
    copies : int array of shape (text,), optional
        A number for each text; equal texts have the same. Default: all texts differ.
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
        """Return the supervision of labels, with equal weights by default and separable groups."""
        return cls(
            labels,
            np.ones(len(labels)) if weights is None else weights,
            random_state,
            groups=None if groups is None else separable_groups(labels, groups),
        )

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return int(self.labels.max()) + 1

    def of_texts(self, rows: np.ndarray) -> "Supervision":
        """Return the supervision of some texts, as if there were no others."""
        part = self.part(rows)
        if part.groups is None:
            return part
        return replace(part, groups=separable_groups(part.labels, part.groups))

    def part(self, rows: np.ndarray) -> "Supervision":
        """Return the supervision of some texts, with the groups and class indices of all texts.

        The numbers of groups and classes may then have gaps.
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
        """Return the weight of each text when it is held out, from ``held_out_weights``."""
        return held_out_weights(self.labels, self.weights)

    def distinct(self) -> np.ndarray:
        """Return positions of one text per near-duplicate group and class (``distinct_texts``)."""
        return distinct_texts(self.labels, self.groups, self.copies)
