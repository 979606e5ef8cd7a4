"""The lexical baseline alone; the whole comparison is tested with the classifier."""

import numpy as np
import pytest

from layerfuse.core.layers import LayerEmbeddings, LayerRef
from layerfuse.core.supervision import Supervision
from layerfuse.report.baselines import layer_at, predict_tfidf

FRUIT = [
    "sweet apple",
    "ripe pear",
    "an apple pie",
    "pear and apple",
    "ripe sweet plum",
    "plum pie",
]
STEEL = ["cold bolt", "rusty nail", "a nail gun", "bolt and nut", "cold rusty nut", "nut gun"]


def predict(texts, labels, test_texts):
    return predict_tfidf(texts, Supervision.of(np.array(labels)), test_texts).argmax(1).tolist()


def test_tfidf_baseline_learns_words():
    found = predict(FRUIT + STEEL, [0] * 6 + [1] * 6, ["apple and pear", "rusty bolt", "Plúm"])
    assert found == [0, 1, 0]


def test_tfidf_baseline_learns_pairs_of_words():
    good, bad = ["not bad at all", "good"], ["bad", "not good at all"]
    assert predict(good * 9 + bad * 9, [0] * 18 + [1] * 18, good + bad) == [0, 0, 1, 1]


def test_tfidf_baseline_without_repeated_words_predicts_class_shares():
    labels = Supervision.of(np.array([0, 0, 1, 1, 1]))
    found = predict_tfidf(["one", "two", "three", "four", "five"], labels, ["one", "six"])
    np.testing.assert_allclose(found, [[0.4, 0.6]] * 2)


@pytest.mark.parametrize(("depth", "layer"), [(1.0, 3), (0.5, 2), (0.0, 0)])
def test_the_layer_at_a_depth_is_that_of_the_first_pooling(depth, layer):
    refs = tuple(LayerRef("toy", i, pooling) for i in (0, 3, 2, 1) for pooling in ("last", "mean"))
    embeddings = LayerEmbeddings(np.zeros((8, 1, 1), dtype=np.float32), refs)
    assert layer_at(embeddings, depth) == LayerRef("toy", layer, "last")
