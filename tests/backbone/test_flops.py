"""flops_per_text: equal to sums over weight matrices and pairs of tokens, written out by hand."""

import numpy as np
import pytest
from torch.utils.flop_counter import FlopCounterMode

from layerfuse.backbone import Backbone, flops
from layerfuse.backbone.flops import flops_per_text
from layerfuse.core.errors import DataError

WIDTH, INNER, LAYERS = 32, 48, 3  # of the tiny models
ATTENTION = 4 * WIDTH  # of a pair of tokens: two products over all heads, two operations each


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
    "llama": 3 * WIDTH**2 + 3 * WIDTH * INNER,  # half as many heads of keys and of values
    "mistral": 3 * WIDTH**2 + 3 * WIDTH * INNER,
    "gemma2": 3 * WIDTH**2 + 3 * WIDTH * INNER,
}


def by_hand(family, n, n_layers=LAYERS):
    return n_layers * (2 * n * BLOCK[family] + ATTENTION * n**2)


@pytest.fixture
def load(tiny):
    return lambda name: Backbone.from_pretrained(tiny.folder(name), device="cpu")


@pytest.mark.parametrize("name", BLOCK)
def test_operations_are_those_of_weights_and_of_pairs_of_tokens(name, load, tiny):
    backbone = load(name)
    lengths = [n_tokens(backbone, text) for text in tiny.texts]
    expected = np.mean([by_hand(name, n) for n in lengths])
    assert flops_per_text(backbone, tiny.texts) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["bert", "albert", "t5", "gpt2", "deberta-v3"])
def test_a_cut_backbone_costs_as_much_less_as_it_has_fewer_blocks(name, load, tiny):
    whole = load(name)
    one, two, three = (flops_per_text(whole.cut(i), tiny.texts) for i in (1, 2, 3))
    assert three == flops_per_text(whole, tiny.texts)
    assert two - one == pytest.approx(three - two)
    assert three > two > one > 0


@pytest.mark.parametrize("name", ["bert", "albert", "deberta-v2", "gpt-neox"])
def test_lengths_between_those_counted_lie_on_lines(name, load, monkeypatch):
    """Three are counted here, and all: they agree where operations grow with pairs of tokens."""
    backbone = load(name)
    texts = [of_length(n) for n in (1, 2, 3, 5, 5, 5)]
    exact = np.mean([flops_per_text(backbone, [text]) for text in texts])
    assert flops_per_text(backbone, texts) == pytest.approx(exact, rel=1e-12)
    monkeypatch.setattr(flops, "_LENGTHS", 3)
    assert flops_per_text(backbone, texts) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("name", ["deberta-v2-conv", "deberta-v3"])
def test_distances_of_deberta_are_near_the_lines(name, load):
    """There is one less than twice as many as tokens, and far ones share eight buckets in v3."""
    backbone = load(name)
    texts = [of_length(n) for n in range(2, 40, 3)]
    exact = np.mean([flops_per_text(backbone, [text]) for text in texts])
    assert flops_per_text(backbone, texts) == pytest.approx(exact, rel=0.01)


def test_the_same_every_time_and_counters_beside_it_see_all(load, tiny):
    backbone = load("llama")
    first = flops_per_text(backbone, tiny.texts)
    backbone.embed(tiny.texts)
    with FlopCounterMode(display=False) as counter:
        again = flops_per_text(backbone, tiny.texts[:1])
    assert counter.get_total_flops() == again
    assert flops_per_text(backbone, tiny.texts) == first


def test_the_embedding_output_costs_no_product(load, tiny):
    cut = load("bert").cut(0)
    assert flops_per_text(cut, tiny.texts) == 0


def test_prompt_and_truncation_count_as_they_run(tiny):
    folder = tiny.folder("bert")
    backbone = Backbone.from_pretrained(folder, device="cpu", prompt="the the ", max_tokens=10)
    assert flops_per_text(backbone, ["cat"]) == by_hand("bert", 5)
    assert flops_per_text(backbone, [of_length(30)]) == by_hand("bert", 10)


def test_no_text_is_an_error(load):
    with pytest.raises(DataError, match="at least one text"):
        flops_per_text(load("bert"), [])
