"""A sample of texts in which every class is there."""

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
