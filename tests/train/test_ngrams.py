"""Counts of character n-grams against scikit-learn's, and the memory they take."""

import tracemalloc

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from layerfuse.train.ngrams import characters, count_ngrams

PIECES = [
    *" \n\t\r\0\x0b\x1c\x1f\x85\xa0\u2028\u3000",  # spaces, some of which break lines, and NUL
    *"\u200b\u200d\ufeff\ud83d\udc00\u0301",  # without width, lone surrogates, a mark
    *"aBßẞİ\u017fKΣςǅﬃ\uff21",  # case changes the length of some of them
    *["e\u0301", "xyz", "😀", "👩‍👩‍👧", "ไทย", "好看", "العربية", "फिल्म", "good", "films"],
]


def odd_texts(n_texts, seed=0):
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(PIECES, rng.integers(30))) for _ in range(n_texts)]


@pytest.mark.parametrize(
    "texts",
    [
        odd_texts(100),
        ["", " ", *odd_texts(5, seed=1), "\n", ""],
        ["a", "b", "a"],
        ["xyzzy" * 2000, "xyzzy xyz", "zy"],
        ["good films", "bad films", "good good films"],
    ],
)
def test_counts_are_those_of_scikit_learn(texts):
    vectorizer = CountVectorizer(
        analyzer="char_wb", preprocessor=characters, ngram_range=(1, 5), min_df=2
    )
    expected = vectorizer.fit_transform(texts)
    ngrams, counts = count_ngrams(texts)
    assert ngrams.tolist() == vectorizer.get_feature_names_out().tolist()
    assert (counts.dtype, counts.indices.dtype) == (np.float32, np.int32)
    np.testing.assert_array_equal(counts.toarray(), expected.toarray())


@pytest.mark.parametrize("texts", [["", " "], ["\n", "a", ""], []])
def test_texts_that_share_no_character_share_no_ngrams(texts):
    ngrams, counts = count_ngrams(texts)
    assert ngrams.shape == (0,)
    assert counts.shape == (len(texts), 0)


def test_memory_is_that_of_characters_and_not_of_all_distinct_ngrams():
    """Chinese has few n-grams of three characters or more that occur twice."""
    rng = np.random.default_rng(0)
    frequency = 1 / np.arange(1, 3001)
    codes = 0x4E00 + rng.choice(3000, (200, 1000), p=frequency / frequency.sum())
    texts = ["".join(map(chr, row)) for row in codes]
    tracemalloc.start()
    try:
        count_ngrams(texts)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200 * codes.size
