"""Stratified samples of texts, and samples without near-duplicates."""

import numpy as np

from layerfuse.core.arrays import ClassIndices


def sample_texts(labels: ClassIndices, n_texts: int, random_state: int) -> np.ndarray:
    """Draw a stratified sample of texts in which no class is missing.

    Parameters
    ----------
    labels : int array of shape (text,)
        Class indices.
    n_texts : int
        Size of the sample, at least the number of classes. Fewer texts are all taken.
    random_state : int
        Seed of the draw.

    Returns
    -------
    int array of shape (sample,)
        Positions, ascending.
    """
    if len(labels) <= n_texts:
        return np.arange(len(labels))
    shuffled = np.random.default_rng(random_state).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    counts = np.bincount(labels)[labels[by_class]]
    starts = np.searchsorted(labels[by_class], labels[by_class])
    share = (np.arange(len(labels)) - starts) / counts  # 0 for the first of every class
    return np.sort(by_class[np.argsort(share, kind="stable")[:n_texts]])


def distinct_texts(
    labels: ClassIndices, groups: np.ndarray | None, copies: np.ndarray | None
) -> np.ndarray:
    """Return one text of each group of near-duplicates and class.

    For code that holds texts out singly: near-duplicates of a held-out text would leak its label.

    Parameters
    ----------
    labels : int array of shape (text,)
        Class indices.
    groups : int array of shape (text,) or None
        Groups of near-duplicates, from ``separable_groups``; None if there are none.
    copies : int array of shape (text,) or None
        Groups of equal texts, separable or not; None if there are none.

    Returns
    -------
    int array of shape (sample,)
        Positions, ascending: the first text of each group and class. If all texts of a class are
        equal, all are kept, because some criteria need two.
    """
    rows = np.arange(len(labels))
    if copies is not None:
        rows = _first_of_each(copies, labels)
        alone = np.bincount(labels[rows])[labels] == 1
        rows = np.union1d(rows, np.flatnonzero(alone))
    if groups is not None:
        rows = rows[_first_of_each(groups[rows], labels[rows])]
    return rows


def _first_of_each(groups: np.ndarray, labels: ClassIndices) -> np.ndarray:
    return np.sort(np.unique(np.stack([groups, labels]), axis=1, return_index=True)[1])
