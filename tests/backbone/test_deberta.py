"""DeBERTa looks at no more relative positions than a text has, and sees the same."""

import contextlib
import math

import numpy as np
import pytest
import torch

from layerfuse import Backbone
from layerfuse.backbone import deberta, embed

FAMILIES = pytest.mark.parametrize("family", ["deberta-v2-conv", "deberta-v3"])


@pytest.fixture
def texts(tiny):
    """From one word to as many as the model takes."""
    words = " ".join(tiny.texts).split()
    return [" ".join(words[:n]) for n in (1, 2, 3, 5, 9, 17, 30, len(words))]


@FAMILIES
@pytest.mark.filterwarnings("ignore:.*longer than max_tokens")
def test_layers_are_those_of_all_positions(tiny, texts, family, monkeypatch):
    backbone = Backbone.from_pretrained(tiny.folder(family), device="cpu")
    monkeypatch.setattr(backbone.budget, "tokens", 1)
    got = backbone.embed(texts).values
    monkeypatch.setattr(embed, "narrow_positions", lambda *_: contextlib.nullcontext())
    want = backbone.embed(texts).values
    np.testing.assert_allclose(got, want, atol=1e-5)


@FAMILIES
def test_fewer_positions_are_projected_and_all_come_back(tiny, family):
    backbone = Backbone.from_pretrained(tiny.folder(family), device="cpu")
    encoder = backbone.model.encoder
    attention = encoder.layer[0].attention.self
    whole, every = attention.pos_ebd_size, encoder.get_rel_embedding()
    with deberta.narrow_positions(backbone.model, 3):
        assert attention.pos_ebd_size == 3 < whole
        assert torch.equal(encoder.get_rel_embedding(), every[whole - 3 : whole + 3])
    assert attention.pos_ebd_size == whole
    assert torch.equal(encoder.get_rel_embedding(), every)
    assert "get_rel_embedding" not in vars(encoder)


@pytest.mark.parametrize(
    ("n_tokens", "span"),
    [
        (1, 2),
        (2, 2),
        (27, 27),
        (129, 129),
        (200, 128 + math.ceil(math.log(199 / 128) / math.log(511 / 128) * 127) + 1),
        (512, 256),
    ],
)
def test_spans_are_those_of_deberta_v3(n_tokens, span):
    """256 buckets over 512 positions: near ones one by one, far ones by the logarithm."""
    assert deberta._span(n_tokens, 256, 512) == span


@pytest.mark.parametrize("family", ["bert", "deberta-v2"])  # this one has absolute positions
def test_others_stay_as_they_are(tiny, family):
    backbone = Backbone.from_pretrained(tiny.folder(family), device="cpu")
    with deberta.narrow_positions(backbone.model, 3):
        assert "get_rel_embedding" not in vars(backbone.model.encoder)
