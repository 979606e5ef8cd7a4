"""MPNet's fused attention equals the eager attention of transformers."""

import contextlib

import numpy as np
import pytest
import torch

from layerfuse import Backbone
from layerfuse.backbone import embed, mpnet


@pytest.fixture
def backbone(tiny):
    return Backbone.from_pretrained(tiny.folder("mpnet"), device="cpu")


@pytest.fixture
def runs(monkeypatch):
    """Masks with which fused attention has run."""
    masks = []
    fused = mpnet.scaled_dot_product_attention

    def run(*states, attn_mask):
        masks.append(attn_mask)
        return fused(*states, attn_mask=attn_mask)

    monkeypatch.setattr(mpnet, "scaled_dot_product_attention", run)
    return masks


def test_layers_of_fused_attention_equal_those_of_eager_attention(
    tiny, backbone, runs, monkeypatch
):
    words = " ".join(tiny.texts).split()
    texts = [" ".join(words[:n]) for n in (1, 2, 3, 5, 9, 12, 12)]
    got = backbone.embed(texts).values
    assert len(runs) >= backbone.spec.n_layers
    runs.clear()
    monkeypatch.setattr(embed, "fused_attention", lambda _: contextlib.nullcontext())
    np.testing.assert_allclose(got, backbone.embed(texts).values, atol=1e-5)
    assert not runs


@torch.inference_mode()
def test_the_position_bias_is_built_once_and_padding_is_masked(backbone, runs):
    ids = torch.tensor([[4, 9, 8, 7], [4, 9, 5, 5]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    bias = backbone.model.encoder.compute_position_bias(torch.zeros(2, 4, 1))
    with mpnet.fused_attention(backbone.model):
        backbone.model(input_ids=ids, attention_mask=mask)
    first, *others = runs
    assert len(others) == backbone.spec.n_layers - 1
    assert all(other is first for other in others)
    seen = mask.bool()[:, None, None].expand(bias.shape)
    torch.testing.assert_close(first[seen], bias[seen])
    assert (first[~seen] < -1e30).all()


def test_the_model_is_restored_after_fused_attention(backbone, runs):
    encoder = backbone.model.encoder
    changed = [encoder, *(block.attention.attn for block in encoder.layer)]
    before = [dict(vars(module)) for module in changed]
    with mpnet.fused_attention(backbone.model):
        assert all(vars(m).keys() > b.keys() for m, b in zip(changed, before, strict=True))
    with pytest.raises(AttributeError), mpnet.fused_attention(backbone.model):
        backbone.model(input_ids="no ids")
    assert [dict(vars(module)) for module in changed] == before
    assert not encoder._forward_pre_hooks
    given = backbone.model(input_ids=torch.tensor([[4, 9, 8]]), output_attentions=True)
    assert len(given.attentions) == backbone.spec.n_layers
    assert not runs


@pytest.mark.parametrize(("family", "way"), [("bert", "eager"), ("mpnet", "sdpa")])
def test_other_models_are_left_unchanged(tiny, family, way, monkeypatch):
    """Including an MPNet for which transformers has a fused attention of its own."""
    model = Backbone.from_pretrained(tiny.folder(family), device="cpu").model
    monkeypatch.setattr(model.config, "_attn_implementation", way)
    with mpnet.fused_attention(model):
        assert "compute_position_bias" not in vars(model.encoder)
        assert not any("forward" in vars(module) for module in model.modules())
