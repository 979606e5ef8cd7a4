"""The nearest neighbours of each text, from batches of rows of the distance matrix."""

from typing import NamedTuple

import numpy as np

from layerfuse.core.arrays import Block, Features

_CELLS = 2**22  # distances in memory at once


class Neighbours(NamedTuple):
    """The nearest other texts, nearest first.

    Parameters
    ----------
    texts : int array of shape (text, neighbour)
        Positions of the neighbours.
    distances : float array of shape (text, neighbour)
        Euclidean distances.
    """

    texts: np.ndarray
    distances: Block


def nearest(features: Features, n_neighbours: int) -> Neighbours:
    """Find the nearest other texts of each text by Euclidean distance.

    A matrix product finds the neighbours, but loses half the digits of small distances. Distances
    to the neighbours are therefore computed again from differences.

    Parameters
    ----------
    features : array of shape (text, feature)
        At least two texts. Centred features lose the fewest digits.
    n_neighbours : int
        At most the number of other texts.

    Returns
    -------
    Neighbours
        Neighbours of every text. Which of several equally distant texts are found, and in which
        order, depends on their positions.
    """
    n_texts, width = features.shape
    half_squares = np.square(features).sum(1) / 2
    n_rows = max(1, min(_CELLS // n_texts, _CELLS // (n_neighbours * max(1, width))))
    texts = np.empty((n_texts, n_neighbours), dtype=np.int64)
    distances = np.empty((n_texts, n_neighbours))
    for start in range(0, n_texts, n_rows):
        rows = np.arange(start, min(start + n_rows, n_texts))
        # Half the squared distance, without the squared norm of the row, which is a constant.
        remoteness = half_squares - features[rows] @ features.T
        remoteness[rows - start, rows] = np.inf
        nearby = np.argpartition(remoteness, n_neighbours - 1, axis=1)[:, :n_neighbours]
        exact = np.linalg.norm(features[rows, None] - features[nearby], axis=2)
        order = np.argsort(exact, axis=1, kind="stable")
        texts[rows] = np.take_along_axis(nearby, order, axis=1)
        distances[rows] = np.take_along_axis(exact, order, axis=1)
    return Neighbours(texts, distances)
