"""Models that lay out states or padding in a way of their own are read right, or refused."""

import numpy as np
import pytest
import transformers as tf

from layerfuse.backbone import Backbone, ProbeLoss, backbone_gradient
from layerfuse.core.errors import BackboneLoadError

PLAIN = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 80,
    "initializer_range": 0.2,
}
XLNET = {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48}
LANDMARKS = {"num_landmarks": 4, "segment_means_seq_len": 64}


@pytest.mark.parametrize("kind", [tf.FNetConfig, tf.ConvBertConfig])
def test_models_that_read_padding_are_refused(tiny, tmp_path, kind):
    folder = tiny.write_as(tmp_path, kind, PLAIN)
    with pytest.raises(BackboneLoadError, match="does not keep padding apart"):
        Backbone.from_pretrained(folder, device="cpu")


def test_states_that_begin_with_the_token_are_refused(tiny, tmp_path):
    folder = tiny.write_as(tmp_path, tf.XLNetConfig, XLNET)
    with pytest.raises(
        BackboneLoadError, match=r"layer 0 has states of shape \(5, 2, 32\), expected"
    ):
        Backbone.from_pretrained(folder, device="cpu")


def test_models_that_do_not_run_on_few_tokens_are_refused(tiny, tmp_path):
    folder = tiny.write_as(tmp_path, tf.NystromformerConfig, {**PLAIN, **LANDMARKS})
    with pytest.raises(BackboneLoadError, match="NystromformerModel does not run on five tokens"):
        Backbone.from_pretrained(folder, device="cpu")


@pytest.fixture(scope="module")
def longformer(tiny, tmp_path_factory) -> Backbone:
    folder = tmp_path_factory.mktemp("longformer")
    tiny.write_as(folder, tf.LongformerConfig, {**PLAIN, "attention_window": 8})
    return Backbone.from_pretrained(folder, pooling=tiny.poolings, device="cpu")


def test_padding_of_the_model_itself_is_left_out(longformer, tiny):
    got = longformer.embed(tiny.texts).values
    for position, text in enumerate(tiny.texts):
        n_tokens = len(longformer.tokenizer(text)["input_ids"])
        plain = tiny.run_plain(longformer.model, longformer.tokenizer, text)
        assert plain[0].shape[0] == n_tokens  # transformers takes its own padding off again
        for ref, row in zip(longformer.refs, got, strict=True):
            want = tiny.pool_plain(plain[ref.layer], ref.pooling)
            np.testing.assert_allclose(row[position], want, atol=1e-5, err_msg=f"{ref}, {text!r}")
    assert {len(longformer.tokenizer(t)["input_ids"]) % 8 for t in tiny.texts} - {0}


def test_gradients_do_not_notice_padding_of_the_model_itself(longformer, tiny, monkeypatch):
    width, classes = longformer.spec.hidden_size, np.arange(len(tiny.texts)) % 2
    rng = np.random.default_rng(0)
    coefficients = rng.normal(size=(width, 2)).astype(np.float32)
    loss = ProbeLoss(coefficients, np.zeros(2, np.float32), classes)
    together = backbone_gradient(longformer, tiny.texts, loss, progress=False).values
    monkeypatch.setattr(longformer.budget, "tokens", 1)
    alone = backbone_gradient(longformer, tiny.texts, loss, progress=False).values
    np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-6)
    assert (alone > 0).all()
