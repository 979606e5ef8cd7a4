"""Every family equals plain transformers, independently of the rest of the batch."""

import numpy as np
import pytest
import torch

from layerfuse.backbone import Backbone

ATOL = 1e-5


def row(backbone, layer, pooling):
    return backbone.refs.index(
        next(r for r in backbone.refs if r.layer == layer and r.pooling == pooling)
    )


def raw_last_state(backbone, text):
    """Token states that the deepest block gives for one text, before any final norm."""
    kept = []
    hook = backbone.blocks.outputs[-1].register_forward_hook(
        lambda _m, _a, out: kept.append(out[0] if isinstance(out, tuple) else out)
    )
    batch = backbone.tokenizer(text, return_tensors="pt")
    with hook, torch.no_grad():
        backbone.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    return kept[-1]


def test_every_layer_and_pooling_equals_plain_transformers(backbone, embedded, family, tiny):
    n_layers = backbone.spec.n_layers
    assert n_layers == (family.options.get("num_hidden_layers") or 3)
    for position, text in enumerate(tiny.texts):
        states = tiny.run_plain(backbone.model, backbone.tokenizer, text)
        assert len(states) == n_layers + 1
        if family.norm:
            states[-1] = raw_last_state(backbone, text)[0].numpy()
        for layer, state in enumerate(states):
            for pooling in tiny.poolings:
                np.testing.assert_allclose(
                    embedded[row(backbone, layer, pooling), position],
                    tiny.pool_plain(state, pooling),
                    atol=ATOL,
                    err_msg=f"layer {layer}, {pooling}, {text!r}",
                )


def test_reported_last_layer_is_the_raw_one_or_its_norm(backbone, family, tiny):
    raw = raw_last_state(backbone, tiny.texts[1])
    reported = tiny.run_plain(backbone.model, backbone.tokenizer, tiny.texts[1])[-1]
    if family.norm:
        assert np.abs(raw[0].numpy() - reported).max() > 0.1
        with torch.no_grad():
            raw = backbone.model.get_submodule(family.norm)(raw)
    np.testing.assert_allclose(raw[0].numpy(), reported, atol=ATOL)


def test_layers_and_poolings_differ(embedded):
    """If the layers of a test model were alike, the other tests could not fail."""
    flat = embedded.reshape(len(embedded), -1)
    apart = [np.abs(a - b).max() for i, a in enumerate(flat) for b in flat[:i]]
    assert min(apart) > 0.01


def test_embeddings_are_independent_of_batch_and_padding(backbone, embedded, tiny):
    for position, text in enumerate(tiny.texts):
        alone = backbone.embed([text]).values[:, 0]
        np.testing.assert_allclose(embedded[:, position], alone, atol=ATOL, err_msg=text)


def test_one_large_batch_equals_many_small_ones(backbone, embedded, tiny, monkeypatch):
    monkeypatch.setattr(backbone.budget, "tokens", 10**6)
    together = backbone.embed(tiny.texts).values
    monkeypatch.setattr(backbone.budget, "tokens", 1)
    apart = backbone.embed(tiny.texts).values
    np.testing.assert_allclose(together, apart, atol=ATOL)
    np.testing.assert_allclose(together, embedded, atol=ATOL)


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u200b", "\ud800"])
def test_text_without_words_gives_finite_numbers(backbone, text):
    values = backbone.embed([text, "the cat", text]).values
    assert np.isfinite(values).all()
    np.testing.assert_array_equal(values[:, 0], values[:, 2])


def test_default_poolings_follow_the_attention_and_the_first_token(family, tiny):
    backbone = Backbone.from_pretrained(tiny.folder(family.name), device="cpu")
    summary = ("last",) if family.causal else () if family.name == "t5" else ("first",)
    assert backbone.spec.poolings == ("mean", *summary)  # T5 puts nothing before a text


def test_text_of_exactly_max_tokens_runs(backbone, family, tiny):
    limit = backbone.spec.max_tokens
    assert limit == (512 if family.name == "t5" else tiny.max_positions - family.offset)
    n_words = limit - backbone.tokenizer.num_special_tokens_to_add(pair=False)
    full = " ".join(["the"] + ["dog"] * (n_words - 1))
    assert len(backbone.tokenizer(full)["input_ids"]) == limit
    values = backbone.embed([full]).values
    assert np.isfinite(values).all()
    with pytest.warns(UserWarning, match=f"1 of 1 texts .* max_tokens={limit} "):
        truncated = backbone.embed([full + " cat"]).values
    np.testing.assert_allclose(truncated, values, atol=ATOL)
