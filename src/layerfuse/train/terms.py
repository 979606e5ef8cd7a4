"""``Terms``: the words, word pairs and character n-grams of texts, as TF-IDF features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import TfidfVectorizer

from layerfuse.core.texts import encodable
from layerfuse.train.words import bare_words, lower_case

MAX_TERMS = 50_000
"""Most words and word pairs kept, by frequency, and most n-grams; bounds the coefficients, one per
term and class."""

MAX_CHARACTERS = 10_000_000
"""Most characters of texts of which n-grams are read; bounds time and memory, some four n-grams and
50 bytes a character."""

_NGRAM_LENGTHS = (1, 5)


class Units(NamedTuple):
    """What the features are read from.

    Parameters
    ----------
    longest : int
        1 for words, 2 for words and pairs of adjacent ones, 0 for none.
    ngrams : bool
        Whether runs of one to five characters within a word or at its ends are used. A word here is
        all that stands between spaces, so they include emoji and punctuation, and they need no
        spaces, which many scripts lack.
    """

    longest: int
    ngrams: bool = False


@dataclass(frozen=True, eq=False)
class Terms:
    """Terms of training texts; maps texts to their TF-IDF features.

    Parameters
    ----------
    words : tuple of str
        Words and word pairs; the first features, in this order.
    ngrams : tuple of str
        Character n-grams; the other features.
    idf : float32 array of shape (feature,)
        Inverse document frequencies on the training texts.
    marks : bool
        Whether words are those of ``bare_words``, which keep the marks of their script. False for
        terms from folders of format 4 and before.
    """

    words: tuple[str, ...]
    ngrams: tuple[str, ...]
    idf: np.ndarray
    marks: bool = True

    def features(self, texts: Sequence[str]) -> csr_array:
        """Return TF-IDF features (text, feature) in float32.

        Words and n-grams each have norm 1, or 1/sqrt(2) if both are used, so that rows have norm 1.
        """
        return _beside([vectorizer.transform(texts) for vectorizer in self._vectorizers])

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the whole state; terms contain no line break, which separates them here."""
        return {
            "terms": _encoded(self.words),
            "ngrams": _encoded(self.ngrams),
            "idf": self.idf,
            "marks": np.array([self.marks]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Terms":
        """Rebuild from ``arrays``."""
        words = _decoded(arrays["terms"])
        ngrams = _decoded(arrays["ngrams"]) if "ngrams" in arrays else ()  # from format 6 on
        marks = "marks" in arrays and bool(arrays["marks"][0])  # from format 5 on
        return cls(words, ngrams, arrays["idf"], marks)

    @cached_property
    def _vectorizers(self) -> list[TfidfVectorizer]:
        longest = 2 if any(" " in word for word in self.words) else 1
        idf_of_words, idf_of_ngrams = np.split(self.idf, [len(self.words)])
        vectorizers = []
        if self.words:
            vectorizer = _word_vectorizer(longest, marks=self.marks, vocabulary=self.words)
            vectorizer.idf_ = idf_of_words
            vectorizers.append(vectorizer)
        if self.ngrams:
            vectorizer = _ngram_vectorizer(vocabulary=self.ngrams)
            vectorizer.idf_ = idf_of_ngrams
            vectorizers.append(vectorizer)
        return vectorizers


class Read(NamedTuple):
    """Terms of training texts, their features (text, feature), and those of other texts."""

    terms: Terms
    features: csr_array
    others: csr_array


class TermReader:
    """Reads terms that occur in two training texts or more, and the features of texts by them.

    Rows of the same training texts follow each other in a cross-validation, so the last terms are
    kept. Threads may share a reader.

    Parameters
    ----------
    texts : sequence of str
        Texts whose rows are read.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._reading = Lock()
        self._words = lru_cache(maxsize=2)(self._read_words)
        self._ngrams = lru_cache(maxsize=1)(self._read_ngrams)

    def read(self, units: Units, train: np.ndarray, rest: np.ndarray) -> Read | None:
        """Choose terms of the training texts, and vectorise these and other texts by them.

        Parameters
        ----------
        units : Units
            What to read.
        train, rest : int array of shape (row,)
            Positions of the training texts and of the others.

        Returns
        -------
        Read or None
            None if no term occurs in two training texts.
        """
        rows = [side.astype(np.intp).tobytes() for side in (train, rest)]
        # The caches do not stop threads from computing the same value at once. Other threads lose
        # nothing by waiting, because reading holds the interpreter lock.
        with self._reading:
            words = self._words(units.longest, *rows) if units.longest else None
            ngrams = self._ngrams(*rows) if units.ngrams else None
        if words is None or ngrams is None:
            return words or ngrams
        return Read(
            Terms(
                words.terms.words,
                ngrams.terms.ngrams,
                np.concatenate([words.terms.idf, ngrams.terms.idf]),
            ),
            _beside([words.features, ngrams.features]),
            _beside([words.others, ngrams.others]),
        )

    def _read_words(self, longest: int, train: bytes, rest: bytes) -> Read | None:
        vectorizer = _word_vectorizer(longest, min_df=2, max_features=MAX_TERMS)
        return _read(vectorizer, self._rows(train), self._rows(rest), ngrams=False)

    def _read_ngrams(self, train: bytes, rest: bytes) -> Read | None:
        vectorizer = _ngram_vectorizer(min_df=2, max_features=MAX_TERMS)
        return _read(vectorizer, self._rows(train), self._rows(rest), ngrams=True)

    def _rows(self, rows: bytes) -> list[str]:
        return [self._texts[i] for i in np.frombuffer(rows, dtype=np.intp).tolist()]


def _read(
    vectorizer: TfidfVectorizer,
    texts: Sequence[str],
    others: Sequence[str],
    *,
    ngrams: bool,
) -> Read | None:
    try:
        features = csr_array(vectorizer.fit_transform(texts))
    except ValueError as err:
        if "vocabulary" in str(err) or "no terms remain" in str(err):
            return None
        raise
    of_others = vectorizer.transform(others) if others else features[:0]
    names, idf = tuple(vectorizer.get_feature_names_out()), vectorizer.idf_
    terms = Terms((), names, idf) if ngrams else Terms(names, (), idf)
    return Read(terms, features, csr_array(of_others))


def _encoded(terms: Sequence[str]) -> np.ndarray:
    return np.frombuffer("\n".join(terms).encode(), dtype=np.uint8)


def _decoded(array: np.ndarray) -> tuple[str, ...]:
    return tuple(array.tobytes().decode().split("\n")) if array.size else ()


def _characters(text: str) -> str:
    return encodable(lower_case(text))  # n-grams are saved in UTF-8


def _beside(parts: Sequence[Any]) -> csr_array:
    """Put features with rows of norm 1 side by side, scaled so that rows keep that norm."""
    if len(parts) == 1:
        return csr_array(parts[0])
    scale = np.float32(1 / np.sqrt(len(parts)))
    return csr_array(scipy.sparse.hstack([scale * csr_array(part) for part in parts], "csr"))


def _word_vectorizer(
    longest: int,
    *,
    marks: bool = True,
    vocabulary: Sequence[str] | None = None,
    min_df: int = 1,
    max_features: int | None = None,
) -> TfidfVectorizer:
    reading: dict[str, Any] = (
        {"lowercase": False, "tokenizer": bare_words, "token_pattern": None}
        if marks
        else {"strip_accents": "unicode"}
    )
    return TfidfVectorizer(
        **reading,
        sublinear_tf=True,
        ngram_range=(1, longest),
        vocabulary=vocabulary,
        min_df=min_df,
        max_features=max_features,
        dtype=np.float32,
    )


def _ngram_vectorizer(
    *,
    vocabulary: Sequence[str] | None = None,
    min_df: int = 1,
    max_features: int | None = None,
) -> TfidfVectorizer:
    return TfidfVectorizer(
        analyzer="char_wb",
        preprocessor=_characters,
        sublinear_tf=True,
        ngram_range=_NGRAM_LENGTHS,
        vocabulary=vocabulary,
        min_df=min_df,
        max_features=max_features,
        dtype=np.float32,
    )
