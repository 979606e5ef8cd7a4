"""flops_per_text: equal to sums over weight matrices and pairs of tokens, written out by hand."""

import numpy as np
import pytest
from torch.utils.flop_counter import FlopCounterMode

from layerfuse.backbone import Backbone, flops
from layerfuse.backbone.flops import flops_per_text
from layerfuse.core.errors import DataError

WIDTH, INNER, LAYERS = 32, 48, 3  # of the tiny models
ATTENTION = 4 * WIDTH  # for a pair of tokens: two products over all heads, two operations each


def of_length(n_words):
    return " ".join(["the"] * n_words)


def n_tokens(backbone, text):
    limit = backbone.spec.max_tokens
    return len(backbone.tokenizer(text, truncation=True, max_length=limit)["input_ids"])


# Parameters of all weight matrices of a block: queries, keys, values, output and two or three more.
BLOCK = {
    "bert": 4 * WIDTH**2 + 2 * WIDTH * INNER,
    "mpnet": 4 * WIDTH**2 + 2 * WIDTH * INNER,
    "t5": 4 * WIDTH**2 + 2 * WIDTH * INNER,
    "modernbert": 4 * WIDTH**2 + 3 * WIDTH * INNER,
    "opt": 4 * WIDTH**2 + 2 * WIDTH * INNER,
    "llama": 3 * WIDTH**2 + 3 * WIDTH * INNER,  # half as many heads for keys and values
    "mistral": 3 * WIDTH**2 + 3 * WIDTH * INNER,
    "gemma2": 3 * WIDTH**2 + 3 * WIDTH * INNER,
}


def by_hand(family, n, n_layers=LAYERS):
    return n_layers * (2 * n * BLOCK[family] + ATTENTION * n**2)


@pytest.fixture
def load(tiny):
    return lambda name: Backbone.from_pretrained(tiny.folder(name), device="cpu")


@pytest.mark.parametrize("name", BLOCK)
def test_flops_are_those_of_weights_and_pairs_of_tokens(name, load, tiny):
    backbone = load(name)
    lengths = [n_tokens(backbone, text) for text in tiny.texts]
    expected = np.mean([by_hand(name, n) for n in lengths])
    assert flops_per_text(backbone, tiny.texts) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["bert", "albert", "t5", "gpt2", "deberta-v3"])
def test_flops_of_a_cut_backbone_are_proportional_to_its_blocks(name, load, tiny):
    whole = load(name)
    one, two, three = (flops_per_text(whole.cut(i), tiny.texts) for i in (1, 2, 3))
    assert three == flops_per_text(whole, tiny.texts)
    assert two - one == pytest.approx(three - two)
    assert three > two > one > 0


@pytest.mark.parametrize("name", ["bert", "albert", "deberta-v2", "gpt-neox"])
def test_flops_between_counted_lengths_are_interpolated_linearly(name, load, monkeypatch):
    """Three are counted here, and all: they agree where operations grow with pairs of tokens."""
    backbone = load(name)
    texts = [of_length(n) for n in (1, 2, 3, 5, 5, 5)]
    exact = np.mean([flops_per_text(backbone, [text]) for text in texts])
    assert flops_per_text(backbone, texts) == pytest.approx(exact, rel=1e-12)
    monkeypatch.setattr(flops, "_LENGTHS", 3)
    assert flops_per_text(backbone, texts) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("name", ["deberta-v2-conv", "deberta-v3"])
def test_interpolated_flops_of_deberta_are_close_to_counted_ones(name, load):
    """There is one less than twice as many as tokens, and far ones share eight buckets in v3."""
    backbone = load(name)
    texts = [of_length(n) for n in range(2, 40, 3)]
    exact = np.mean([flops_per_text(backbone, [text]) for text in texts])
    assert flops_per_text(backbone, texts) == pytest.approx(exact, rel=0.01)


def test_flops_are_reproducible_and_seen_by_an_outer_counter(load, tiny):
    backbone = load("llama")
    first = flops_per_text(backbone, tiny.texts)
    backbone.embed(tiny.texts)
    with FlopCounterMode(display=False) as counter:
        again = flops_per_text(backbone, tiny.texts[:1])
    assert counter.get_total_flops() == again
    assert flops_per_text(backbone, tiny.texts) == first


def test_flops_of_the_embedding_output_are_zero(load, tiny):
    cut = load("bert").cut(0)
    assert flops_per_text(cut, tiny.texts) == 0


def test_flops_include_the_prompt_and_follow_truncation(tiny):
    folder = tiny.folder("bert")
    backbone = Backbone.from_pretrained(folder, device="cpu", prompt="the the ", max_tokens=10)
    assert flops_per_text(backbone, ["cat"]) == by_hand("bert", 5)
    assert flops_per_text(backbone, [of_length(30)]) == by_hand("bert", 10)


def test_no_texts_are_refused(load):
    with pytest.raises(DataError, match="at least one text"):
        flops_per_text(load("bert"), [])
