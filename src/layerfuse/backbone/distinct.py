"""Texts as a user gives them, each distinct one once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layerfuse.core.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class DistinctTexts:
    """Distinct texts and where each stands.

    Parameters
    ----------
    texts : list of str
        In order of first appearance.
    places : list of list of int
        Positions of each among all texts.
    """

    texts: list[str]
    places: list[list[int]]

    def spread(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return all positions of a batch of distinct texts, and how often each of them stands."""
        places = [self.places[i] for i in batch.tolist()]
        repeats = np.fromiter((len(p) for p in places), dtype=np.int64)
        return np.concatenate([np.array(p, dtype=np.int64) for p in places]), repeats


def distinct_texts(texts: Sequence[object], first: int = 0) -> DistinctTexts:
    """Find the distinct texts.

    Parameters
    ----------
    texts : sequence
        Some texts.
    first : int
        Position of the first of them among all, for messages.

    Returns
    -------
    DistinctTexts
        Each once.

    Raises
    ------
    DataError
        If an entry is no string, as a missing value.
    """
    places: dict[str, list[int]] = {}
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(
                f"Expected only strings, but text {first + position} is {text!r} "
                f"({type(text).__name__}). Drop such rows, or put '' there."
            )
        places.setdefault(text, []).append(position)
    return DistinctTexts(list(places), list(places.values()))
