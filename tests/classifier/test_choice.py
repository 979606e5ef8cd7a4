"""choose_layers: scores, selection and stability belong together, for every kind of criterion."""

import dataclasses

import numpy as np
import pytest

from layerfuse import Backbone, choose_layers, score_layers, select_layers
from layerfuse.core.errors import LabelError
from layerfuse.core.layers import LayerEmbeddings, LayerRef
from layerfuse.core.signals import LayerSignals
from layerfuse.score import importance

REFS = tuple(LayerRef("toy", i, "mean") for i in range(4))


@pytest.fixture(scope="module")
def block():
    values = np.random.default_rng(0).normal(size=(4, 60, 5)).astype(np.float32)
    values[2, ::2] += 1.5
    return LayerEmbeddings(values, REFS)


LABELS = ["a", "b"] * 30


def test_choose_layers_equals_its_parts_called_one_by_one(block):
    choice = choose_layers([block], LABELS, "loo_ridge", "best", k=1)
    assert choice.scores == score_layers([block], LABELS, "loo_ridge")
    assert choice.selection == select_layers(choice.scores, "best", k=1)
    assert choice.stability.shares[2] == max(choice.stability.shares) > 0.9


def test_embeddings_of_one_backbone_need_no_list(block):
    """The functions that it calls also take one block of embeddings or a sequence."""
    assert choose_layers(block, LABELS) == choose_layers([block], LABELS)
    assert choose_layers(block, LABELS, selector="greedy", n_resamples=2).selection.refs


def test_the_criterion_may_be_a_function(block):
    def spread(features, labels):
        return float(features.std())

    choice = choose_layers([block], LABELS, spread, "best", k=1, n_resamples=3)
    assert choice.scores == score_layers([block], LABELS, spread)
    assert choice.selection.refs == (REFS[2],)


def test_stability_is_none_without_resamples(block):
    assert choose_layers([block], LABELS, n_resamples=0).stability is None


def test_without_labels_only_label_free_criteria_and_selectors_work(block):
    choice = choose_layers([block], None, "rankme", "best", k=1, n_resamples=3)
    assert choice.stability.n_resamples == 3
    with pytest.raises(LabelError, match="criterion='loo_ridge' needs labels"):
        choose_layers([block], None, "loo_ridge")
    with pytest.raises(LabelError, match="selector='mrmr' needs labels"):
        choose_layers([block], None, "rankme", "mrmr")


def test_stability_of_a_signal_criterion_resamples_its_texts(block):
    """Only entropy scores; layers 1 and 3 each have the lower one on one half of the texts."""
    entropies = np.full((40, 3), 0.5)
    entropies[:20, 0] = entropies[20:, 2] = 0.1
    signal = LayerSignals("attention_entropy", "toy", (1, 2, 3), entropies)
    entropy_alone = importance(weight=0.0)
    choice = choose_layers(
        [block], LABELS, entropy_alone, "best", k=1, signals=[signal], n_resamples=12
    )
    assert choice.scores.refs == REFS[1:]
    assert choice.stability.shares[1] == 0
    assert 0 < choice.stability.shares[0] < 1


def test_standard_errors_of_a_signal_criterion_are_those_of_its_sample():
    """They depend on the 40 sampled texts and not on the total, as do scores of such samples."""
    rng = np.random.default_rng(0)
    block = LayerEmbeddings(rng.normal(size=(4, 8000, 2)).astype(np.float32), REFS)
    signal = LayerSignals("attention_entropy", "toy", (1, 2, 3), rng.random((40, 3)))
    entropy_alone, labels = importance(weight=0.0), ["a", "b"] * 4000
    choice = choose_layers(
        [block], labels, entropy_alone, "best", k=1, signals=[signal], n_resamples=100
    )
    drawn = []
    for _ in range(100):
        again = dataclasses.replace(signal, values=signal.values[rng.integers(40, size=40)])
        drawn.append(score_layers(block, labels, entropy_alone, signals=[again]).values)
    assert choice.standard_errors == pytest.approx(np.std(drawn, axis=0).tolist(), rel=0.3)


CONSTANT = LayerRef("encoder", 0, "first")
"""The embedding output of a first token, which has not seen the other tokens."""


@pytest.fixture(scope="module")
def encoder(tiny_encoder):
    return Backbone.from_pretrained(tiny_encoder, device="cpu")


@pytest.mark.parametrize(
    ("criterion", "selector"),
    [("loo_ridge", "best"), ("loo_ridge", "greedy"), ("mdl", "best"), ("probe", "top")],
)
def test_a_constant_layer_is_scored_but_never_chosen(encoder, make, toy, criterion, selector):
    """With random labels, the constant layer has the best score."""
    texts, _ = toy(60)
    embeddings = [encoder.embed(texts, progress=False)]
    for seed in range(40):
        labels = np.random.default_rng(seed).integers(2, size=60)
        if score_layers(embeddings, labels, criterion).best == CONSTANT:
            break
    choice = choose_layers(embeddings, labels, criterion, selector, k=1, n_resamples=9)
    options = {"backbones": [encoder], "criterion": criterion, "selector": selector, "k": 1}
    fitted = make(**options).fit(texts, labels)

    assert choice.scores.refs == encoder.refs
    assert choice.scores == fitted.scores_
    assert choice.scores.best == CONSTANT
    assert choice.selection == fitted.selection_
    assert choice.stability[CONSTANT] == 0
    assert sum(choice.stability.shares) == pytest.approx(1)
    assert np.count_nonzero(choice.standard_errors) > 0
