"""Attention entropy of every family equals a slow reference on plain transformers."""

import copy
import math
from contextlib import ExitStack

import numpy as np
import pytest
import torch
import transformers as tf

from layerfuse import Backbone
from layerfuse.backbone import attention_entropy
from layerfuse.backbone.attention import attention_entropies
from layerfuse.core.errors import DataError, LayerError

LOCAL = "sliding_attention"


def plain_attentions(backbone, text):
    """(head, query, key) weights of every layer, as plain transformers gives them for one text."""
    model = copy.deepcopy(backbone.model)  # output_attentions leaves hooks on the model
    if model.config._attn_implementation != "eager":
        model.set_attn_implementation("eager")
    batch = backbone.tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        out = model(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            output_attentions=True,
        )
    return [attention[0].double().numpy() for attention in out.attentions]


def may_look(family, layer, query, key):
    """Return from the configuration alone whether a query may attend to a key."""
    options = family.options
    if family.causal and key > query:
        return False
    if family.name == "modernbert":  # layers 0, 2, 4, ... attend to all tokens
        is_global = (layer - 1) % options["global_attn_every_n_layers"] == 0
        return is_global or abs(key - query) <= options["local_attention"] // 2
    if family.name == "mistral":
        return query - key < options["sliding_window"]
    if family.name == "gemma2":  # layers 1, 3, 5, ... attend to all tokens
        return layer % 2 == 0 or query - key < options["sliding_window"]
    if family.name == "gemma3":
        is_global = layer % options["sliding_window_pattern"] == 0
        return is_global or query - key < options["sliding_window"]
    return True


def slow_entropy(family, layer, weights):
    n_heads, n_tokens, _ = weights.shape
    relative = []
    for query in range(n_tokens):
        visible = [key for key in range(n_tokens) if may_look(family, layer, query, key)]
        if len(visible) < 2:
            continue
        for head in range(n_heads):
            row = [float(weights[head, query, key]) for key in visible]
            assert math.isclose(
                sum(row), 1, abs_tol=1e-5
            )  # no weight outside the keys that it may attend to
            entropy = -sum(a * math.log(a) for a in row if a > 0)
            relative.append(entropy / math.log(len(visible)))
    return sum(relative) / len(relative) if relative else 0.0


def test_attention_entropy_equals_a_slow_reference_on_plain_transformers(backbone, family, tiny):
    found = attention_entropy(backbone, tiny.texts, progress=False)
    assert found.layers == tuple(range(1, backbone.spec.n_layers + 1))
    expected = [
        [
            slow_entropy(family, layer, weights)
            for layer, weights in enumerate(plain_attentions(backbone, text), 1)
        ]
        for text in tiny.texts
    ]
    np.testing.assert_allclose(found.values, expected, atol=2e-5)
    assert np.ptp(found.values) > 0.01  # models whose attention is uniform would prove little


def test_the_longest_test_text_exceeds_the_attention_windows(tiny):
    """Otherwise local attention would not be tested."""
    for name in ("modernbert", "mistral", "gemma2", "gemma3"):
        backbone = Backbone.from_pretrained(tiny.folder(name), device="cpu")
        n_tokens = max(len(backbone.tokenizer(text)["input_ids"]) for text in tiny.texts)
        assert n_tokens > 2 * 8


def test_attention_entropy_leaves_the_model_unchanged(backbone, family, tiny):
    hooks = [len(m._forward_hooks) for m in backbone.model.modules()]
    config = backbone.model.config.to_dict()
    way = backbone.model.config._attn_implementation
    before = backbone.embed(tiny.texts).values
    attention_entropy(backbone, tiny.texts, progress=False)
    assert backbone.model.config._attn_implementation == way
    assert backbone.model.config.to_dict() == config
    assert [len(m._forward_hooks) for m in backbone.model.modules()] == hooks
    np.testing.assert_array_equal(backbone.embed(tiny.texts).values, before)


def test_an_error_in_the_forward_pass_leaves_the_model_unchanged(tiny, monkeypatch):
    backbone = Backbone.from_pretrained(tiny.folder("llama"), device="cpu")
    way = backbone.model.config._attn_implementation
    assert way != "eager"

    def fail(*_args, **_kwargs):
        assert backbone.model.config._attn_implementation == "eager"
        raise ValueError("broken on purpose")

    with monkeypatch.context() as patch:
        patch.setattr(backbone.blocks.container[1], "forward", fail)
        with pytest.raises(ValueError, match="broken on purpose"):
            attention_entropy(backbone, tiny.texts, progress=False)
    assert backbone.model.config._attn_implementation == way
    assert not any(m._forward_hooks for m in backbone.model.modules())
    with backbone.blocks.turn:  # free again
        pass


@pytest.mark.parametrize("name", ["bert", "albert", "deberta-v3", "gemma3", "t5"])
def test_attention_entropy_is_independent_of_batch_and_padding(tiny, name, monkeypatch):
    backbone = Backbone.from_pretrained(tiny.folder(name), device="cpu")
    together = attention_entropy(backbone, tiny.texts, progress=False).values
    monkeypatch.setattr(backbone.budget, "tokens", 1)
    alone = attention_entropy(backbone, tiny.texts, progress=False).values
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("name", ["deberta-v3", "mpnet"])
def test_attention_weights_are_freed_layer_by_layer(tiny, name):
    """These two return attention only with output_attentions, and then keep that of all layers."""
    import gc

    backbone = Backbone.from_pretrained(tiny.folder(name), device="cpu")
    n_tokens = max(len(backbone.tokenizer(text)["input_ids"]) for text in tiny.texts)
    shape = (len(tiny.texts), 4, n_tokens, n_tokens)
    alive = []

    def count(*_args):
        gc.collect()
        found = [o for o in gc.get_objects() if type(o) is torch.Tensor]
        alive.append(sum(t.shape == shape and bool((t.sum(-1) - 1 < 1e-3).all()) for t in found))

    backbone.budget.tokens = 10**6  # one batch
    with ExitStack() as stack:
        for block in backbone.blocks.outputs:
            stack.enter_context(block.register_forward_hook(count))
        attention_entropy(backbone, tiny.texts, progress=False)
    assert alive == [0] * len(backbone.blocks.outputs)


def test_attention_entropy_of_a_cut_backbone_covers_its_layers(bert, tiny):
    whole = attention_entropy(bert, tiny.texts, progress=False)
    part = attention_entropy(bert.cut(2), tiny.texts, progress=False)
    assert part.layers == (1, 2)
    np.testing.assert_allclose(part.values, whole.values[:, :2], atol=1e-6)


def test_entropy_of_uniform_attention_is_one_and_of_a_single_key_zero():
    n_tokens = 5
    uniform = torch.full((1, 2, n_tokens, n_tokens), 1 / n_tokens)
    picks = torch.eye(n_tokens).expand(1, 2, -1, -1)
    mask = torch.ones(1, n_tokens, dtype=torch.int64)
    assert float(attention_entropies(uniform, mask)) == pytest.approx(1)
    assert float(attention_entropies((uniform + picks) / 2, mask)) < 0.9
    before = torch.ones(n_tokens, n_tokens).tril()
    causal = (before / before.sum(-1, keepdim=True)).expand(1, 2, -1, -1)
    assert float(attention_entropies(causal, mask)) == pytest.approx(1)
    # Half of the heads look at one key each, which does not hide what the others may look at.
    mixed = torch.stack([causal[0, 0], torch.eye(n_tokens)])[None]
    assert float(attention_entropies(mixed, mask)) == pytest.approx(0.5)


def test_a_key_whose_weight_rounds_to_zero_still_counts_as_visible():
    n_tokens = 4
    weights = torch.full((1, 1, n_tokens, n_tokens), 1 / n_tokens)
    weights[0, 0, 0] = torch.tensor([0.5, 0.5, 0.0, 0.0])
    mask = torch.ones(1, n_tokens, dtype=torch.int64)
    expected = (3 + math.log(2) / math.log(4)) / 4
    # The farthest key to the right is seen by no other query, the one before it is.
    wide = torch.cat([weights, torch.full((1, 1, n_tokens, n_tokens), 1 / n_tokens)], dim=1)
    assert float(attention_entropies(wide, mask)) == pytest.approx((expected + 1) / 2)


def test_padding_queries_without_visible_keys_are_left_out():
    weights = torch.full((1, 1, 3, 3), float("nan"))
    weights[0, 0, :2] = torch.tensor([0.5, 0.5, 0.0])
    assert float(attention_entropies(weights, torch.tensor([[1, 1, 0]]))) == pytest.approx(1)


def test_entropy_of_a_text_of_one_token_is_zero(tiny):
    backbone = Backbone.from_pretrained(tiny.folder("gpt2"), device="cpu")
    values = attention_entropy(backbone, ["", "a"], progress=False).values
    assert (values[0] == 0).all()


def test_a_model_without_attention_is_refused_by_name(tiny, tmp_path):
    tokenizer = tiny.families["gpt2"].tokenizer()
    config = tf.MambaConfig(
        vocab_size=len(tokenizer), hidden_size=16, state_size=4, num_hidden_layers=2
    )
    tf.AutoModel.from_config(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    backbone = Backbone.from_pretrained(tmp_path, device="cpu", name="my-mamba")
    with pytest.raises(LayerError, match="my-mamba returns no attention weights at layer 1"):
        attention_entropy(backbone, tiny.texts, progress=False)


@pytest.mark.unchecked
def test_no_texts_and_missing_texts_are_refused(bert):
    with pytest.raises(DataError, match="at least one text"):
        attention_entropy(bert, [])
    with pytest.raises(DataError, match="row 2 is None"):
        attention_entropy(bert, ["a", None])
