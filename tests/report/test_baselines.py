"""The lexical baseline alone; the whole comparison is tested with the classifier."""

import numpy as np
import pytest

from layerfuse.core.layers import LayerEmbeddings, LayerRef
from layerfuse.report import last_layer, predict_tfidf

FRUIT = [
    "sweet apple",
    "ripe pear",
    "an apple pie",
    "pear and apple",
    "ripe sweet plum",
    "plum pie",
]
STEEL = ["cold bolt", "rusty nail", "a nail gun", "bolt and nut", "cold rusty nut", "nut gun"]


@pytest.mark.parametrize("names", [("fruit", "steel"), (0, 1), (False, True)])
def test_tfidf_learns_words(names):
    texts, labels = FRUIT + STEEL, [names[0]] * 6 + [names[1]] * 6
    predicted = predict_tfidf(texts, labels, ["apple and pear", "rusty bolt", "Plúm"])
    assert predicted.tolist() == [names[0], names[1], names[0]]


def test_tfidf_learns_pairs_of_words():
    good, bad = ["not bad at all", "good"], ["bad", "not good at all"]
    predicted = predict_tfidf(good * 9 + bad * 9, ["+"] * 18 + ["-"] * 18, good + bad)
    assert predicted.tolist() == ["+", "+", "-", "-"]


def test_tfidf_of_words_never_seen_is_some_label():
    predicted = predict_tfidf(FRUIT + STEEL, ["f"] * 6 + ["s"] * 6, ["xyzzy", ""])
    assert set(predicted.tolist()) <= {"f", "s"}


def test_tfidf_without_a_word_in_two_texts_gives_the_most_frequent_label():
    labels = ["a", "a", "b", "b", "b"]
    predicted = predict_tfidf(["one", "two", "three", "four", "five"], labels, ["one", "six"])
    assert predicted.tolist() == ["b", "b"]


def test_last_layer_is_the_deepest_under_the_first_pooling():
    refs = tuple(
        LayerRef("toy", layer, pooling) for layer in (0, 2, 1) for pooling in ("last", "mean")
    )
    embeddings = LayerEmbeddings(np.zeros((6, 1, 1), dtype=np.float32), refs)
    assert last_layer(embeddings) == LayerRef("toy", 2, "last")
