"""Texts that repeat each other: phrases cut from one sentence, reposts, forms filled in twice."""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import HashingVectorizer

from layerfuse.train.words import words_and_symbols

RUN = 5
"""Words in a row, of which two texts seldom share one by chance."""

_MOST_TEXTS = 64  # with a run: in more, it is a phrase of the language or of the form
_ROWS = 4096  # texts compared with all others at once: bounds the memory


def repeat_groups(texts: Sequence[str]) -> np.ndarray:
    """Return the groups of texts that repeat each other.

    Two texts do if they share more than half of the distinct runs of five words that one of them
    has, case and punctuation aside; a text of fewer words is one run. Symbols, as emoji are, count
    as words, and punctuation does where there is nothing else. A group is whatever such pairs
    connect.

    Parameters
    ----------
    texts : sequence of str
        In any language; where words are not set apart, nearly equal texts alone are found.

    Returns
    -------
    int array of shape (text,)
        Group of each text, from 0. A text that repeats none is a group of its own.

    Notes
    -----
    Runs that stand in more than 64 distinct texts do not count. About a second for 67,000 phrases.

    Source
    ------
    Broder 1997, *On the Resemblance and Containment of Documents*, for containment by runs of words
    (shingles).
    """
    numbers: dict[str, int] = {}
    which = [numbers.setdefault(" ".join(words_and_symbols(text)), len(numbers)) for text in texts]
    pairs = np.concatenate([*_pairs(*_runs(list(numbers)))], axis=1)
    linked = csr_array((np.ones(pairs.shape[1]), pairs), shape=(len(numbers), len(numbers)))
    return np.asarray(connected_components(linked, directed=False)[1][which], dtype=int)


def _word_runs(text: str) -> list[str]:
    words = text.split(" ")
    return [" ".join(words[i : i + RUN]) for i in range(max(1, len(words) - RUN + 1))]


def _runs(texts: Sequence[str]) -> tuple[csr_array, np.ndarray]:
    """Return which text has which of the runs that tell of repeats, and how many of all.

    Returns
    -------
    csr_array of shape (text, run)
        Ones.
    int array of shape (text,)
        Distinct runs of each text, at least 1.
    """
    hashing = HashingVectorizer(
        analyzer=_word_runs,
        n_features=np.iinfo(np.int32).max,  # so that two runs hardly ever fall together
        norm=None,
        binary=True,
        alternate_sign=False,
        dtype=np.float32,
    )
    hashed = hashing.transform(texts)
    found = hashed.tocoo()
    _, columns, counts = np.unique(found.col, return_inverse=True, return_counts=True)
    tells = (counts[columns] > 1) & (counts[columns] <= _MOST_TEXTS)
    places = found.row[tells], columns[tells]
    runs = csr_array((found.data[tells], places), shape=(len(texts), len(counts)))
    return runs, np.diff(hashed.indptr)


def _pairs(runs: csr_array, n_runs: np.ndarray) -> Iterator[np.ndarray]:
    """Yield pairs of texts that repeat each other, (2, pair)."""
    turned = runs.T.tocsr()
    for start in range(0, runs.shape[0], _ROWS):
        shared = (runs[start : start + _ROWS] @ turned).tocoo()
        left, right = shared.row + start, shared.col
        repeats = 2 * shared.data > np.minimum(n_runs[left], n_runs[right])
        yield np.stack([left[repeats], right[repeats]])
