"""``Terms``: the words, word pairs and character n-grams of texts, as TF-IDF features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer

from layerfuse.train.ngrams import LONGEST, characters, count_ngrams
from layerfuse.train.words import bare_words

MAX_TERMS = 50_000
"""Most words and word pairs kept, by frequency, and most n-grams; bounds the coefficients, one per
term and class."""


_WORDS: Mapping[str, Any] = {"lowercase": False, "tokenizer": bare_words, "token_pattern": None}
_WORDS_WITHOUT_MARKS: Mapping[str, Any] = {"strip_accents": "unicode"}
_NGRAMS: Mapping[str, Any] = {
    "analyzer": "char_wb",
    "preprocessor": characters,
    "ngram_range": (1, LONGEST),
}
"""Settings of scikit-learn's vectorisers."""


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
        words = _WORDS if self.marks else _WORDS_WITHOUT_MARKS
        longest = 2 if any(" " in word for word in self.words) else 1
        readings = [{**words, "ngram_range": (1, longest)}, _NGRAMS]
        vectorizers = []
        for reading, terms, idf in zip(
            readings,
            (self.words, self.ngrams),
            np.split(self.idf, [len(self.words)]),
            strict=True,
        ):
            if terms:
                vectorizer = TfidfVectorizer(
                    **reading, vocabulary=terms, sublinear_tf=True, dtype=np.float32
                )
                vectorizer.idf_ = idf
                vectorizers.append(vectorizer)
        return vectorizers


class Read(NamedTuple):
    """Terms of training texts, their features (text, feature), and those of other texts."""

    terms: Terms
    features: csr_array
    others: csr_array


class TermReader:
    """Reads TF-IDF features by terms that occur in two training texts or more.

    All texts are counted once, whatever rows are training texts, because counting takes far longer
    than weighting the counts. One thread at a time may use a reader.

    Parameters
    ----------
    texts : sequence of str
        Texts whose rows are read.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._counts: dict[Units, _Counts | None] = {}

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
        words = self._read(Units(units.longest), train, rest) if units.longest else None
        ngrams = self._read(Units(0, ngrams=True), train, rest) if units.ngrams else None
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

    def _read(self, kind: Units, train: np.ndarray, rest: np.ndarray) -> Read | None:
        if kind not in self._counts:
            self._counts[kind] = _count(self._texts, kind)
        counted = self._counts[kind]
        if counted is None:
            return None
        counts = counted.counts[train]
        chosen = _most_frequent(counts)
        if not len(chosen):
            return None
        weighting = TfidfTransformer(sublinear_tf=True)
        features = weighting.fit_transform(counts[:, chosen])
        of_rest = counted.counts[rest][:, chosen]
        others = weighting.transform(of_rest) if len(rest) else of_rest
        names, idf = tuple(counted.terms[chosen].tolist()), weighting.idf_
        terms = Terms((), names, idf) if kind.ngrams else Terms(names, (), idf)
        return Read(terms, csr_array(features), csr_array(others))


class _Counts(NamedTuple):
    """How often each text has each term that occurs in two texts or more, (text, term)."""

    terms: np.ndarray
    counts: csr_array


def _count(texts: Sequence[str], kind: Units) -> _Counts | None:
    if kind.ngrams:
        return _Counts(*count_ngrams(texts))
    vectorizer = CountVectorizer(
        **_WORDS, ngram_range=(1, kind.longest), min_df=2, dtype=np.float32
    )
    try:
        counts = vectorizer.fit_transform(texts)
    except ValueError as err:
        if "vocabulary" in str(err) or "no terms remain" in str(err):
            return None
        raise
    return _Counts(vectorizer.get_feature_names_out(), csr_array(counts))


def _most_frequent(counts: csr_array) -> np.ndarray:
    """Return the sorted columns of the most frequent terms that occur in two texts or more."""
    n_texts = np.bincount(counts.indices, minlength=counts.shape[1])
    shared = np.flatnonzero(n_texts > 1)
    frequency = counts.sum(0)[shared]
    return np.sort(shared[np.argsort(-frequency, kind="stable")[:MAX_TERMS]])


def _encoded(terms: Sequence[str]) -> np.ndarray:
    return np.frombuffer("\n".join(terms).encode(), dtype=np.uint8)


def _decoded(array: np.ndarray) -> tuple[str, ...]:
    return tuple(array.tobytes().decode().split("\n")) if array.size else ()


def _beside(parts: Sequence[Any]) -> csr_array:
    """Put features with rows of norm 1 side by side, scaled so that rows keep that norm."""
    if len(parts) == 1:
        return csr_array(parts[0])
    scale = np.float32(1 / np.sqrt(len(parts)))
    return csr_array(scipy.sparse.hstack([scale * csr_array(part) for part in parts], "csr"))
