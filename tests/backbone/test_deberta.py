"""DeBERTa's attention by distance is the one of transformers."""

import contextlib

import numpy as np
import pytest
import torch
import transformers
from transformers.models.deberta_v2.modeling_deberta_v2 import build_relative_position

from layerfuse import Backbone
from layerfuse.backbone import deberta, embed

FAMILIES = pytest.mark.parametrize("family", ["deberta-v2-conv", "deberta-v3"])


@pytest.fixture
def texts(tiny):
    """From one word to as many as the model takes."""
    words = " ".join(tiny.texts).split()
    return [" ".join(words[:n]) for n in (1, 2, 3, 5, 9, 17, 30, len(words))]


def random_model(**options):
    """Return a DeBERTa of two blocks, each attention of three heads."""
    torch.manual_seed(0)
    config = transformers.DebertaV2Config(
        vocab_size=30,
        hidden_size=12,
        num_attention_heads=3,
        num_hidden_layers=2,
        intermediate_size=8,
        max_position_embeddings=16,
        initializer_range=0.5,
        relative_attention=True,
        **options,
    )
    return transformers.DebertaV2Model(config).eval()


@FAMILIES
@pytest.mark.parametrize("tokens", [1, 1000])
@pytest.mark.filterwarnings("ignore:.*longer than max_tokens")
def test_layers_of_attention_by_distance_equal_those_of_transformers(
    tiny, texts, family, tokens, monkeypatch
):
    backbone = Backbone.from_pretrained(tiny.folder(family), device="cpu")
    monkeypatch.setattr(backbone.budget, "tokens", tokens)
    got = backbone.embed(texts).values
    monkeypatch.setattr(embed, "attention_by_distance", lambda _: contextlib.nullcontext())
    want = backbone.embed(texts).values
    assert not np.array_equal(got, want)  # rounding differs, so both implementations have run
    np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize("terms", [["c2p"], ["p2c"], ["p2c", "c2p"], []])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("buckets", "farthest"), [(-1, -1), (-1, 4), (4, 20)])
@torch.inference_mode()
def test_any_position_terms_and_buckets_give_the_layers_of_transformers(
    terms, shared, buckets, farthest
):
    model = random_model(
        pos_att_type=terms,
        share_att_key=shared,
        position_buckets=buckets,
        max_relative_positions=farthest,
    )
    batch = {
        "input_ids": torch.randint(1, 30, (3, 11)),
        "attention_mask": (torch.arange(11) < torch.tensor([[11], [4], [1]])).long(),
    }
    want = model(**batch, output_attentions=True)
    with deberta.attention_by_distance(model):
        got = model(**batch)
    with deberta.attention_by_distance(model, give_weights=True):
        with_weights = model(**batch, output_attentions=True)
    seen = batch["attention_mask"].bool()
    for states in (got.last_hidden_state, with_weights.last_hidden_state):
        torch.testing.assert_close(states[seen], want.last_hidden_state[seen], atol=1e-5, rtol=0)
    for weights in zip(with_weights.attentions, want.attentions, strict=True):
        own, theirs = (of_heads.transpose(1, 2)[seen] for of_heads in weights)
        torch.testing.assert_close(own, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("give_weights", [False, True])
def test_gradients_of_attention_by_distance_equal_those_of_transformers(tiny, give_weights):
    model = Backbone.from_pretrained(tiny.folder("deberta-v3"), device="cpu").model
    ids = torch.tensor([[2, 9, 8, 7, 3]])
    words = model.get_input_embeddings()(ids).detach()
    ways = contextlib.nullcontext(), deberta.attention_by_distance(model, give_weights=give_weights)
    gradients = []
    for way in ways:
        start = words.clone().requires_grad_()
        with way:
            states = model(inputs_embeds=start, attention_mask=torch.ones_like(ids))
        gradients.append(torch.autograd.grad(states.last_hidden_state.pow(3).sum(), start)[0])
    assert gradients[0].abs().max() > 0.1
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-4)


@torch.inference_mode()
def test_padding_in_half_precision_gives_finite_states():
    """All keys of a padding query are masked, and scores as low as -16 must not make that -inf."""
    model = random_model(pos_att_type=["p2c", "c2p"], position_buckets=4)
    for block in model.encoder.layer:
        # All scores are about 4 * 64 / sqrt(12) below 0.
        block.attention.self.query_proj.bias.fill_(8)
        block.attention.self.key_proj.bias.fill_(-8)
    ids, mask = torch.randint(1, 30, (4, 9)), (torch.arange(9) < torch.tensor([[9], [5], [2], [1]]))
    for give_weights in (False, True):
        with deberta.attention_by_distance(model.half(), give_weights=give_weights):
            states = model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        assert torch.isfinite(states[mask]).all()


def test_each_pair_of_tokens_gets_the_product_of_its_distance():
    n_texts, n_heads, n_tokens, size = 2, 3, 5, 4
    draw = torch.Generator().manual_seed(0)
    states = torch.randn(n_texts, n_tokens, n_heads, size, generator=draw).transpose(1, 2)
    distances = torch.randn(2 * n_tokens - 1, n_heads * size, generator=draw)
    got = deberta._of_pairs(states, distances)
    assert got.shape == (n_texts, n_heads, n_tokens, n_tokens)
    for i in range(n_tokens):
        for j in range(n_tokens):
            of_pair = distances[n_tokens - 1 + j - i].view(n_heads, size)
            torch.testing.assert_close(got[:, :, i, j], (states[:, :, i] * of_pair).sum(-1))


@pytest.mark.parametrize("n_tokens", [1, 2, 27, 129, 200, 512])
def test_distance_buckets_equal_those_of_deberta_v3(n_tokens):
    """256 buckets over 512 positions: near ones one by one, far ones by the logarithm."""
    found = deberta._distances(n_tokens, 256, 256, 512, torch.device("cpu"))
    tokens = torch.zeros(n_tokens, 1)
    pairs = build_relative_position(tokens, tokens, bucket_size=256, max_position=512)[0]
    rows = torch.arange(512)[found.near][found.rows]
    places = torch.arange(n_tokens)
    of_pairs = rows[places[:, None] - places + n_tokens - 1]
    assert torch.equal(of_pairs, (pairs + 256).clamp(0, 511))
    assert (found.near.start, found.near.stop) == (rows.min(), rows.max() + 1)


@FAMILIES
def test_the_model_is_restored_after_attention_by_distance(tiny, family):
    model = Backbone.from_pretrained(tiny.folder(family), device="cpu").model
    changed = [model.encoder, *(block.attention.self for block in model.encoder.layer)]
    before = [dict(vars(module)) for module in changed]
    with deberta.attention_by_distance(model):
        assert all(vars(m).keys() > b.keys() for m, b in zip(changed, before, strict=True))
    assert [dict(vars(module)) for module in changed] == before
    with pytest.raises(TypeError), deberta.attention_by_distance(model):
        model(input_ids="no ids")
    assert [dict(vars(module)) for module in changed] == before


@pytest.mark.parametrize("family", ["bert", "deberta-v2"])  # this one has absolute positions
def test_other_models_are_left_unchanged(tiny, family):
    model = Backbone.from_pretrained(tiny.folder(family), device="cpu").model
    with deberta.attention_by_distance(model):
        assert "get_rel_pos" not in vars(model.encoder)
        assert not any("forward" in vars(module) for module in model.modules())
