"""Models with an unusual layout of states or padding are read correctly, or refused."""

import json

import numpy as np
import pytest
import torch
import transformers as tf
from safetensors import torch as tensors
from safetensors.numpy import load_file

from layerfuse.backbone import Backbone, ProbeLoss, attention_entropy, backbone_gradient
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
    with pytest.raises(BackboneLoadError, match="does not ignore padding"):
        Backbone.from_pretrained(folder, device="cpu")


def test_states_with_the_token_axis_first_are_refused(tiny, tmp_path):
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


def test_padding_added_by_the_model_itself_is_not_pooled(longformer, tiny):
    got = longformer.embed(tiny.texts).values
    for position, text in enumerate(tiny.texts):
        n_tokens = len(longformer.tokenizer(text)["input_ids"])
        plain = tiny.run_plain(longformer.model, longformer.tokenizer, text)
        assert plain[0].shape[0] == n_tokens  # transformers removes the padding it added
        for ref, row in zip(longformer.refs, got, strict=True):
            want = tiny.pool_plain(plain[ref.layer], ref.pooling)
            np.testing.assert_allclose(row[position], want, atol=1e-5, err_msg=f"{ref}, {text!r}")
    assert {len(longformer.tokenizer(t)["input_ids"]) % 8 for t in tiny.texts} - {0}


def test_gradients_leave_out_padding_added_by_the_model_itself(longformer, tiny, monkeypatch):
    width, classes = longformer.spec.hidden_size, np.arange(len(tiny.texts)) % 2
    rng = np.random.default_rng(0)
    coefficients = rng.normal(size=(width, 2)).astype(np.float32)
    loss = ProbeLoss(coefficients, np.zeros(2, np.float32), classes)
    together = backbone_gradient(longformer, tiny.texts, loss, progress=False).values
    monkeypatch.setattr(longformer.budget, "tokens", 1)
    alone = backbone_gradient(longformer, tiny.texts, loss, progress=False).values
    np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-6)
    assert (alone > 0).all()


LONG = {
    **PLAIN,
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 1e4,
        "partial_rotary_factor": 1.0,
        "original_max_position_embeddings": 12,
        "short_factor": [1.0] * 4,
        "long_factor": [4.0, 8.0, 2.0, 3.0],
    },
    "original_max_position_embeddings": 12,
}


@pytest.fixture(scope="module")
def longrope(tiny, tmp_path_factory) -> Backbone:
    folder = tiny.write_as(tmp_path_factory.mktemp("longrope"), tf.Phi3Config, LONG)
    return Backbone.from_pretrained(folder, pooling=tiny.poolings, device="cpu")


def test_longrope_frequencies_of_a_short_text_do_not_depend_on_its_batch(longrope, tiny):
    got = longrope.embed(tiny.texts).values
    for position, text in enumerate(tiny.texts):
        plain = tiny.run_plain(longrope.model, longrope.tokenizer, text)
        for ref, row in zip(longrope.refs, got, strict=True):
            if ref.layer < longrope.deepest:  # transformers gives that one after its norm
                want = tiny.pool_plain(plain[ref.layer], ref.pooling)
                np.testing.assert_allclose(row[position], want, atol=1e-5, err_msg=f"{ref}, {text}")
    lengths = [len(longrope.tokenizer(text)["input_ids"]) for text in tiny.texts]
    assert min(lengths) <= 12 < max(lengths)


def test_signals_of_a_short_text_do_not_depend_on_its_batch(longrope, tiny):
    together = attention_entropy(longrope, tiny.texts, progress=False).values
    for position, text in enumerate(tiny.texts):
        alone = attention_entropy(longrope, [text], progress=False).values[0]
        np.testing.assert_allclose(together[position], alone, atol=1e-5, err_msg=text)


def test_max_tokens_of_big_bird_ends_where_its_attention_becomes_sparse(tiny, tmp_path):
    sparse = {"block_size": 4, "num_random_blocks": 1}
    folder = tiny.write_as(tmp_path / "own", tf.BigBirdConfig, {**PLAIN, **sparse})
    with pytest.raises(BackboneLoadError, match="max_tokens=29, but own takes at most 28 tokens"):
        Backbone.from_pretrained(folder, max_tokens=29, device="cpu")
    backbone = Backbone.from_pretrained(folder, device="cpu")
    assert backbone.spec.max_tokens == 28
    backbone.save(tmp_path / "saved")
    loaded = Backbone.load(tmp_path / "saved", device="cpu")
    longest = ["the dog " * 13]  # alone: nothing shorter came before
    np.testing.assert_array_equal(loaded.embed(longest).values, backbone.embed(longest).values)
    full = {**sparse, "attention_type": "original_full"}
    folder = tiny.write_as(tmp_path / "full", tf.BigBirdConfig, {**PLAIN, **full})
    assert Backbone.from_pretrained(folder, device="cpu").spec.max_tokens == 80


@pytest.mark.parametrize(
    ("kind", "options", "limit"),
    [
        (tf.IBertConfig, PLAIN, 79),  # positions are counted from the padding id, which is 0 here
        (tf.MptConfig, {"d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 24}, 24),
    ],
)
def test_a_long_text_is_truncated_to_the_positions_of_the_model(
    tiny, tmp_path, kind, options, limit
):
    folder = tiny.write_as(tmp_path, kind, options)
    backbone = Backbone.from_pretrained(folder, device="cpu")
    assert backbone.spec.max_tokens == limit
    with pytest.warns(UserWarning, match=f"max_tokens={limit} "):
        assert np.isfinite(backbone.embed(["the dog " * 99]).values).all()


def test_weights_that_a_forward_pass_changes_are_saved_unchanged(tiny, tmp_path):
    options = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 5,
        "rescale_every": 2,
        "context_length": 64,
    }
    folder = tiny.write_as(tmp_path / "own", tf.RwkvConfig, options)
    backbone = Backbone.from_pretrained(folder, device="cpu")
    want = backbone.embed(tiny.texts).values
    for name in ("saved", "again"):
        saved = backbone.cut(5)
        saved.save(tmp_path / name)
        backbone = Backbone.load(tmp_path / name, device="cpu")
        for one in (saved, backbone):
            np.testing.assert_array_equal(one.embed(tiny.texts).values, want)
    before, after = (load_file(tmp_path / n / "model.safetensors") for n in ("own", "again"))
    for name, weight in before.items():
        np.testing.assert_array_equal(after[name], weight, err_msg=name)


def test_quantised_weights_are_saved_as_the_dequantised_numbers_in_use(tiny, tmp_path):
    """8-bit floats with a scale for each block of 8 times 8, which a CPU does not multiply."""
    pytest.importorskip("accelerate")
    folders = [tiny.write("llama", tmp_path / name) for name in ("quantised", "plain")]
    quantised, plain = (tensors.load_file(folder / "model.safetensors") for folder in folders)
    for name in [name for name in plain if name.endswith("proj.weight")]:
        n_out, n_in = plain[name].shape
        blocks = plain[name].view(n_out // 8, 8, n_in // 8, 8)
        scale = blocks.abs().amax((1, 3)) / 448
        eight_bit = (blocks / scale[:, None, :, None]).to(torch.float8_e4m3fn)
        plain[name] = (eight_bit.float() * scale[:, None, :, None]).view(n_out, n_in)
        quantised[name] = eight_bit.view(n_out, n_in)
        quantised[f"{name}_scale_inv"] = scale
    for folder, weights in zip(folders, (quantised, plain), strict=True):
        tensors.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = folders[0] / "config.json"
    how = {"quant_method": "fp8", "weight_block_size": [8, 8], "dequantize": True}
    config.write_text(json.dumps(json.loads(config.read_text()) | {"quantization_config": how}))
    backbone, same = (Backbone.from_pretrained(folder, device="cpu") for folder in folders)
    want = backbone.embed(tiny.texts, [2]).values
    np.testing.assert_allclose(same.embed(tiny.texts, [2]).values, want, atol=1e-5)
    backbone.cut(2).save(tmp_path / "saved")
    loaded = Backbone.load(tmp_path / "saved", device="cpu")
    np.testing.assert_array_equal(loaded.embed(tiny.texts, [2]).values, want)
    # Earlier versions saved such folders.
    config.write_text(json.dumps(json.loads(config.read_text()) | {"quantization_config": None}))
    with pytest.raises(BackboneLoadError, match=r"contains quantised weights, with scales such as"):
        Backbone.from_pretrained(folders[0], device="cpu")
