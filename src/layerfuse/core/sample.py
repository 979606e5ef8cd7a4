"""Some of the texts, with every class among them."""

import numpy as np

from layerfuse.core.arrays import ClassIndices


def sample_texts(labels: ClassIndices, n_texts: int, random_state: int) -> np.ndarray:
    """Draw texts so that classes keep their shares and none is lost.

    Parameters
    ----------
    labels : int array of shape (text,)
        Class indices.
    n_texts : int
        How many, if there are more; at least the number of classes.
    random_state : int
        Draws them.

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
    """Return texts that do not repeat each other under the same label.

    For what judges texts without holding groups out: a text would be known by those that repeat it.

    Parameters
    ----------
    labels : int array of shape (text,)
        Class indices.
    groups : int array of shape (text,) or None
        Texts that repeat each other, from ``separable_groups``; None where none do.
    copies : int array of shape (text,) or None
        The same for texts that are equal, be they separable or not; None where none are.

    Returns
    -------
    int array of shape (sample,)
        Positions, ascending: the first text of each group and class. The only text of a class
        keeps its copies, since some criteria need two.
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
