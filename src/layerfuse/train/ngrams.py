"""Counts the character n-grams of texts in NumPy."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse
from scipy.sparse import csr_array

from layerfuse.core.texts import encodable
from layerfuse.train.words import lower_case

LONGEST = 5


def characters(text: str) -> str:
    """Return a text as n-grams are read from it: in lower case, and such that UTF-8 can encode it.

    N-grams are saved in UTF-8.
    """
    return encodable(lower_case(text))


def count_ngrams(texts: Sequence[str]) -> tuple[np.ndarray, csr_array]:
    """Count the n-grams of one to five characters that occur in two texts or more.

    They are those that scikit-learn calls ``char_wb``. Its vectoriser remembers every n-gram until
    all texts are read, which takes up to 800 bytes a character in Chinese, where most n-grams occur
    once. Here one sort ranks all n-grams of a length, and only those in two texts get a further
    character, because longer ones occur in no more texts. This takes up to 200 bytes a character,
    and a half to a tenth of the time.

    Parameters
    ----------
    texts : sequence of str
        Texts of less than 2**31 characters in all.

    Returns
    -------
    ngrams : object array of shape (n-gram,)
        Sorted strings.
    counts : float32 array of shape (text, n-gram)
        How often each text has each n-gram.
    """
    padded = ["".join(f" {word} " for word in characters(text).split()) for text in texts]
    stream = "".join(padded)
    codes = np.frombuffer(stream.encode("utf-32-le"), dtype=np.uint32)
    alphabet, character_of = np.unique(codes, return_inverse=True)
    text_of = np.repeat(np.arange(len(texts), dtype=np.int32), [len(text) for text in padded])
    # Words contain no space, so that spaces begin and end words by turns.
    word_of = (np.cumsum(codes == ord(" "), dtype=np.int32) - 1) // 2
    word_of = np.append(word_of, np.full(LONGEST, -1, dtype=np.int32))  # beyond the last word

    names: list[str] = []
    counts = []
    starts, ranks = np.arange(len(codes)), np.zeros(len(codes), dtype=np.int64)
    for length in range(1, LONGEST + 1):
        inside = word_of[starts] == word_of[starts + length - 1]
        starts, ranks = starts[inside], ranks[inside]
        ranks = ranks * len(alphabet) + character_of[starts + length - 1]
        distinct, ranks = np.unique(ranks, return_inverse=True)
        once = np.ones(len(starts), dtype=np.float32)
        where = text_of[starts], ranks.astype(np.int32)  # liblinear takes no 64-bit indices
        counted = csr_array((once, where), shape=(len(texts), len(distinct)))  # adds up
        shared = np.bincount(counted.indices, minlength=len(distinct)) > 1
        places = np.empty(len(distinct), dtype=np.int64)
        places[ranks] = starts
        names.extend(stream[start : start + length] for start in places[shared].tolist())
        counts.append(counted[:, shared])
        goes_on = shared[ranks]
        starts, ranks = starts[goes_on], ranks[goes_on]
    ngrams = np.array(names, dtype=object)
    order = np.argsort(ngrams, kind="stable")
    return ngrams[order], csr_array(scipy.sparse.hstack(counts, "csr"))[:, order]
