"""Find near-duplicates: phrases of the same sentence, reposts, forms that were filled in twice."""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import HashingVectorizer

from layerfuse.train.words import words_and_symbols

RUN = 5
"""Words in a sequence that is compared. Two texts rarely share such a sequence by chance."""

_MOST_TEXTS = 64  # a sequence in more texts is a common phrase or part of a form, and ignored
_ROWS = 4096  # texts compared with all others at once, to bound the memory


def repeat_groups(texts: Sequence[str]) -> np.ndarray:
    """Return the groups of near-duplicates.

    Two texts are near-duplicates if they share more than half of the distinct five-word sequences
    of either one, case and punctuation aside. A text of fewer words is one sequence. Symbols, such
    as emoji, count as words; so does punctuation in texts of punctuation alone. Groups are the
    connected components of such pairs.

    Parameters
    ----------
    texts : sequence of str
        In any language. In scripts without spaces between words, only nearly equal texts are found.

    Returns
    -------
    int array of shape (text,)
        Group of each text, from 0. A text without near-duplicates is a group of its own.

    Notes
    -----
    Sequences in more than 64 distinct texts do not count. 67,000 phrases take about a second.

    Source
    ------
    Broder 1997, *On the Resemblance and Containment of Documents*, for containment by sequences of
    words (shingles).
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
    """Return which text has which word sequence, and how many sequences each text has.

    Returns
    -------
    csr_array of shape (text, run)
        1 for each sequence of a text; only sequences that occur in 2 to 64 texts.
    int array of shape (text,)
        Number of distinct sequences of each text, rare and frequent ones included; at least 1.
    """
    hashing = HashingVectorizer(
        analyzer=_word_runs,
        n_features=np.iinfo(np.int32).max,  # so that hashes of two sequences hardly ever collide
        norm=None,
        binary=True,
        alternate_sign=False,
        dtype=np.float32,
    )
    hashed = hashing.transform(texts)
    cells = hashed.tocoo()
    _, columns, counts = np.unique(cells.col, return_inverse=True, return_counts=True)
    kept = (counts[columns] > 1) & (counts[columns] <= _MOST_TEXTS)
    places = cells.row[kept], columns[kept]
    runs = csr_array((cells.data[kept], places), shape=(len(texts), len(counts)))
    return runs, np.diff(hashed.indptr)


def _pairs(runs: csr_array, n_runs: np.ndarray) -> Iterator[np.ndarray]:
    """Yield pairs of near-duplicates, (2, pair)."""
    turned = runs.T.tocsr()
    for start in range(0, runs.shape[0], _ROWS):
        shared = (runs[start : start + _ROWS] @ turned).tocoo()
        left, right = shared.row + start, shared.col
        repeats = 2 * shared.data > np.minimum(n_runs[left], n_runs[right])
        yield np.stack([left[repeats], right[repeats]])
