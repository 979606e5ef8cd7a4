"""A tiny Llama written as GGUF is read like any other model."""

import importlib.util
import json
import shutil

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaModel

from layerfuse.backbone import Backbone
from layerfuse.core.errors import BackboneLoadError, MissingExtraError

needs_gguf = pytest.mark.skipif(
    importlib.util.find_spec("gguf") is None or importlib.util.find_spec("accelerate") is None,
    reason="the gguf extra is not installed",
)
NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def permuted(weight, n_heads):
    """Put rotary dimensions in the order that GGUF files have."""
    half = weight.shape[0] // n_heads // 2
    return weight.reshape(n_heads, 2, half, -1).swapaxes(1, 2).reshape(weight.shape)


def tiny_llama(n_tokens):
    config = LlamaConfig(
        vocab_size=n_tokens,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=48,
        max_position_embeddings=48,
        initializer_range=0.2,
        rms_norm_eps=1e-6,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LlamaModel(config).eval()


@pytest.fixture(scope="module")
def written(tiny, tmp_path_factory):
    """Return a model and the file that holds it."""
    tokenizer = tiny.families["llama"].tokenizer()
    state = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    tokens = sorted(state["vocab"], key=state["vocab"].get)
    model = tiny_llama(len(tokens))
    path = tmp_path_factory.mktemp("gguf") / "tiny-llama.gguf"
    write(path, model, tokens, state["merges"])
    return model, path


def write(path, model, tokens, merges, without=()):
    """Write a model as GGUF, without tensors whose names begin with one of these."""
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(3)
    writer.add_context_length(48)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(48)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(8)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if t in {"<unk>", "<s>", "</s>"} else 1 for t in tokens])
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    named = {
        "token_embd.weight": weights["embed_tokens.weight"],
        "output_norm.weight": weights["norm.weight"],
        "output.weight": weights["embed_tokens.weight"],
    }
    for layer in range(3):
        for name, short in NAMES.items():
            weight = weights[f"layers.{layer}.{name}.weight"]
            if short in {"attn_q", "attn_k"}:
                weight = permuted(weight, 4 if short == "attn_q" else 2)
            named[f"blk.{layer}.{short}.weight"] = np.ascontiguousarray(weight)
    for name, weight in named.items():
        if not name.startswith(tuple(without)):
            writer.add_tensor(name, weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@needs_gguf
@pytest.mark.parametrize(
    ("without", "first"),
    [
        (["blk.1.ffn_down"], "lacks 1 weights of LlamaModel, such as model.layers.1.mlp.down_proj"),
        (["blk.2.", "blk.1."], "lacks 18 weights .* was split .* must be merged first"),
        (["token_embd"], "lacks 1 weights of LlamaModel, such as model.embed_tokens"),
    ],
)
def test_missing_weights_of_a_gguf_file_are_an_error(written, tiny, tmp_path, without, first):
    model, _ = written
    state = json.loads(tiny.families["llama"].tokenizer().backend_tokenizer.to_str())["model"]
    tokens = sorted(state["vocab"], key=state["vocab"].get)
    write(tmp_path / "part.gguf", model, tokens, state["merges"], without)
    with pytest.raises(BackboneLoadError, match=first):
        Backbone.from_pretrained(tmp_path / "part.gguf")


@needs_gguf
def test_a_gguf_file_without_the_unused_head_is_accepted(written, tiny, tmp_path):
    model, path = written
    state = json.loads(tiny.families["llama"].tokenizer().backend_tokenizer.to_str())["model"]
    tokens = sorted(state["vocab"], key=state["vocab"].get)
    write(tmp_path / "tied.gguf", model, tokens, state["merges"], ["output.weight"])
    got = Backbone.from_pretrained(tmp_path / "tied.gguf", device="cpu").embed(tiny.texts).values
    want = Backbone.from_pretrained(path, device="cpu").embed(tiny.texts).values
    np.testing.assert_array_equal(got, want)


@needs_gguf
def test_layers_of_a_gguf_file_equal_those_of_its_model(written, tiny, tmp_path):
    model, path = written
    backbone = Backbone.from_pretrained(path, device="cpu")
    assert (backbone.name, backbone.spec.n_layers) == ("tiny-llama", 3)
    assert backbone.spec.poolings == ("mean", "last")
    assert backbone.spec.weights.startswith("sha256:")
    got = backbone.embed(tiny.texts[:3])
    for position, text in enumerate(tiny.texts[:3]):
        states = tiny.run_plain(model, backbone.tokenizer, text)[:-1]  # the last is after the norm
        for ref in got.refs:
            if ref.layer < 3:
                want = tiny.pool_plain(states[ref.layer], ref.pooling)
                np.testing.assert_allclose(got.row(ref)[position], want, atol=1e-5)
    backbone.cut(2).save(tmp_path)
    assert "quantization" not in (tmp_path / "config.json").read_text("utf-8")
    loaded = Backbone.load(tmp_path, device="cpu")
    want = backbone.cut(2).embed(tiny.texts).values
    np.testing.assert_array_equal(loaded.embed(tiny.texts).values, want)


@needs_gguf
def test_a_gguf_file_is_parsed_once_for_each_load(written, monkeypatch):
    """Otherwise transformers parses it three times, and names the tensors for every module."""
    import gguf

    made = []

    def counted(name):
        make = getattr(gguf, name)
        return lambda *args: made.append(name) or make(*args)

    for name in ("GGUFReader", "get_tensor_name_map"):
        monkeypatch.setattr(gguf, name, counted(name))
    for _ in range(2):  # a file may be replaced, so nothing is kept between loads
        Backbone.from_pretrained(written[1], device="cpu")
        assert made == ["GGUFReader", "get_tensor_name_map"]
        made.clear()


@needs_gguf
def test_a_gguf_file_behind_a_link_gets_the_name_of_the_link(written, tmp_path):
    """The hub's cache has the file under its digest, and links to it under its name."""
    shutil.copy(written[1], tmp_path / "9f86d081")
    link = tmp_path / "tiny-llama.gguf"
    link.symlink_to("9f86d081")
    backbone = Backbone.from_pretrained(link, device="cpu")
    assert (backbone.name, backbone.origin) == ("tiny-llama", str(link))


@needs_gguf
def test_bfloat16_weights_of_a_gguf_file_are_read_exactly(written, tiny, tmp_path):
    _, path = written
    backbone = Backbone.from_pretrained(str(path), device="cpu", dtype="bfloat16")
    plain = Backbone.from_pretrained(path, device="cpu").model
    assert {p.dtype for p in backbone.model.parameters()} == {torch.bfloat16}
    for got, want in zip(backbone.model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(got, want.bfloat16())
    for got, want in zip(backbone.model.buffers(), plain.buffers(), strict=True):
        assert torch.equal(got, want)  # three digits of rotary frequencies are too few
    cut = backbone.cut(2)
    cut.save(tmp_path)
    loaded = Backbone.load(tmp_path, device="cpu")
    assert loaded.spec == cut.spec
    np.testing.assert_array_equal(loaded.embed(tiny.texts).values, cut.embed(tiny.texts).values)


@needs_gguf
@pytest.mark.parametrize(
    "content",
    [b"", b"no gguf at all", b"GGUF\x03\0\0\0" + b"\0" * 7, b"GGUF\x03\0\0\0" + b"\xff" * 64],
)
def test_a_damaged_gguf_file_is_refused(tmp_path, content):
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)
    with pytest.raises(BackboneLoadError, match=r"broken.gguf cannot be read as a GGUF decoder"):
        Backbone.from_pretrained(path)


@needs_gguf
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_gguf_file_is_refused(written, tmp_path, share):
    content = written[1].read_bytes()
    path = tmp_path / "short.gguf"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BackboneLoadError, match=r"short.gguf cannot be read"):
        Backbone.from_pretrained(path)


@pytest.mark.parametrize("missing", ["gguf", "accelerate"])
def test_the_missing_gguf_extra_is_named(tmp_path, monkeypatch, missing):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == missing else found(name, *a)
    )
    with pytest.raises(MissingExtraError, match=r"pip install 'layerfuse\[gguf\]'"):
        Backbone.from_pretrained(path)
