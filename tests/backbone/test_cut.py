"""A cut backbone gives the same numbers, is smaller and runs nothing deeper."""

import copy
import json

import numpy as np
import pytest
import transformers as tf

from layerfuse.backbone import Backbone
from layerfuse.core.errors import BackboneLoadError, LayerError


def count_block_calls(backbone, monkeypatch):
    """Return a list that grows by one entry whenever a block is entered."""
    calls = []

    def counting(forward):
        def run(*args, **kwargs):
            calls.append(1)
            return forward(*args, **kwargs)

        return run

    for block in backbone.blocks.container:
        monkeypatch.setattr(block, "forward", counting(block.forward))
    return calls


def rows_up_to(backbone, deepest):
    return [i for i, ref in enumerate(backbone.refs) if ref.layer <= deepest]


def test_cut_at_every_layer_equals_the_full_backbone(backbone, embedded, tiny):
    for deepest in range(backbone.spec.n_layers + 1):
        cut = backbone.cut(deepest)
        assert cut.refs == tuple(ref for ref in backbone.refs if ref.layer <= deepest)
        got = cut.embed(tiny.texts).values
        np.testing.assert_allclose(got, embedded[rows_up_to(backbone, deepest)], atol=1e-6)


def test_only_needed_blocks_run(backbone, embedded, tiny):
    for layer in range(backbone.spec.n_layers + 1):
        for run_on in (backbone, backbone.cut(layer)):
            with pytest.MonkeyPatch.context() as patch:
                calls = count_block_calls(run_on, patch)
                got = run_on.embed(tiny.texts[:1], layers=[layer]).values
            assert len(calls) == max(layer, 0), f"layer {layer}"
            rows = [i for i, ref in enumerate(backbone.refs) if ref.layer == layer]
            np.testing.assert_allclose(got[:, 0], embedded[rows, 0], atol=1e-5)


def test_a_cut_is_smaller_shares_tensors_and_leaves_the_original_unchanged(
    backbone, family, embedded, tiny
):
    before = {name: id(p) for name, p in backbone.model.named_parameters()}
    config = copy.deepcopy(backbone.model.config.to_dict())
    pointers = {p.data_ptr() for p in backbone.model.parameters()}
    n_parameters = backbone.n_parameters
    sizes = []
    for deepest in range(1, backbone.spec.n_layers + 1):
        cut = backbone.cut(deepest)
        assert {p.data_ptr() for p in cut.model.parameters()} <= pointers
        assert cut.spec == backbone.spec
        sizes.append(cut.n_parameters)
    if family.shared:
        assert set(sizes) == {n_parameters}
    else:
        assert sizes == sorted(set(sizes))
        assert sizes[-1] == n_parameters
    assert {name: id(p) for name, p in backbone.model.named_parameters()} == before
    assert backbone.model.config.to_dict() == config
    assert len(backbone.refs) == len(embedded)
    np.testing.assert_array_equal(backbone.embed(tiny.texts).values, embedded)


def test_a_saved_cut_is_loaded_bit_for_bit(backbone, family, tiny, tmp_path):
    cut = backbone.cut(2)
    cut.save(tmp_path)
    names = {path.name for path in tmp_path.rglob("*")}
    assert "backbone.json" in names
    assert not [n for n in names if not n.endswith((".json", ".safetensors", ".txt", ".jinja"))]
    loaded = Backbone.load(tmp_path, device="cpu")
    assert loaded.spec == backbone.spec
    assert loaded.spec.fingerprint == backbone.spec.fingerprint
    assert (loaded.deepest, loaded.origin, loaded.refs) == (2, cut.origin, cut.refs)
    assert family.shared or loaded.n_parameters < backbone.n_parameters
    np.testing.assert_array_equal(loaded.embed(tiny.texts).values, cut.embed(tiny.texts).values)


def test_saved_weights_have_the_permissions_of_the_other_files(bert, tmp_path):
    bert.cut(1).save(tmp_path)
    modes = {path.name: path.stat().st_mode for path in tmp_path.iterdir()}
    assert modes["model.safetensors"] == modes["backbone.json"]


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_a_file_that_cannot_be_written_is_an_oserror(bert, tmp_path, file):
    (tmp_path / file).mkdir()  # both are written in Rust, by libraries with errors of their own
    with pytest.raises(OSError, match=f"{tmp_path.name} cannot be written: "):
        bert.save(tmp_path)


def test_saved_cut_can_be_cut_and_saved_again(bert, tiny, tmp_path):
    bert.cut(2).save(tmp_path / "first")
    again = Backbone.load(tmp_path / "first", device="cpu").cut(1)
    again.save(tmp_path / "second")
    loaded = Backbone.load(tmp_path / "second", device="cpu")
    want = bert.embed(tiny.texts, layers=[0, 1]).values
    np.testing.assert_allclose(loaded.embed(tiny.texts).values, want, atol=1e-6)


def test_layer_beyond_the_cut_is_refused(bert):
    cut = bert.cut(1)
    with pytest.raises(
        LayerError, match=r"bert:2:mean is not a layer.*layers 0 to 1 pooled by mean"
    ):
        cut.embed(["a"], layers=[2])
    with pytest.raises(LayerError, match="layers 0 to 1"):
        cut.cut(2)
    with pytest.raises(LayerError, match="layers 0 to 3"):
        bert.cut(4)
    with pytest.raises(LayerError, match="expected 0"):
        bert.cut(-1)


HEADS = {"q_lora_rank": 8, "kv_lora_rank": 8, "qk_nope_head_dim": 4, "qk_rope_head_dim": 4}
GEMMA4 = {
    "num_key_value_heads": 2,
    "head_dim": 8,
    "global_head_dim": 8,
    "num_kv_shared_layers": 0,
    "sliding_window": 8,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
}
ZAMBA2 = {
    "layers_block_type": ["mamba", "hybrid"] * 2,
    "num_mem_blocks": 1,
    "adapter_rank": 4,
    "mamba_d_state": 4,
    "mamba_headdim": 8,
    "mamba_ngroups": 1,
    "n_mamba_heads": 8,
    "chunk_size": 8,
}


@pytest.mark.parametrize(
    ("config", "options"),
    [
        # Every block's output is divided by the square root of the number of blocks.
        ("MiniCPM3Config", {"num_key_value_heads": 4, "v_head_dim": 8, **HEADS}),
        # The last block that the configuration counts has another kind of attention.
        ("Gemma4TextConfig", {**GEMMA4, "hidden_size_per_layer_input": 0}),
        # Every block has inputs of its own, in one tensor for all of them.
        ("Gemma4TextConfig", {**GEMMA4, "hidden_size_per_layer_input": 8}),
        # A head for contacts reads the attention of all blocks.
        ("EsmConfig", {"mask_token_id": 4}),
        # Blocks two and four have the same weights.
        ("Zamba2Config", ZAMBA2),
        # As many groups as blocks.
        ("AlbertConfig", {"embedding_size": 16, "num_hidden_groups": 4}),
        # With two blocks the two kinds of position terms look like one entry a block.
        ("DebertaV2Config", {"pos_att_type": ["p2c", "c2p"], "relative_attention": True}),
    ],
)
def test_a_cut_keeps_settings_that_depend_on_the_number_of_blocks(tiny, tmp_path, config, options):
    kind = getattr(tf, config, None)
    if kind is None:
        pytest.skip("the release of transformers does not know it")
    options = {
        "num_hidden_layers": 2 if config == "DebertaV2Config" else 4,
        "hidden_size": 32,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 64,
        "initializer_range": 0.2,
        **options,
    }
    folder = tiny.write_as(tmp_path / "whole", kind, options)
    whole = Backbone.from_pretrained(folder, pooling="mean", device="cpu")
    want = whole.embed(tiny.texts).values
    for deepest in range(whole.spec.n_layers):
        cut = whole.cut(deepest)
        cut.save(tmp_path / f"{deepest}")
        loaded = Backbone.load(tmp_path / f"{deepest}", device="cpu")
        loaded.cut(max(0, deepest - 1)).save(tmp_path / f"{deepest}-again")
        again = Backbone.load(tmp_path / f"{deepest}-again", device="cpu")
        assert cut.n_parameters == loaded.n_parameters < whole.n_parameters
        for one in (cut, loaded, again):
            got = one.embed(tiny.texts).values
            np.testing.assert_allclose(got, want[: one.deepest + 1], atol=1e-5)


def test_a_folder_whose_configuration_counts_only_kept_blocks_loads(bert, tiny, tmp_path):
    """Earlier versions saved folders without digests."""
    bert.cut(2).save(tmp_path)
    identity = json.loads((tmp_path / "backbone.json").read_text("utf-8"))
    del identity["files"], identity["digest"]
    (tmp_path / "backbone.json").write_text(json.dumps(identity), "utf-8")
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    assert config["num_hidden_layers"] == 3
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 2}), "utf-8")
    loaded = Backbone.load(tmp_path, device="cpu")
    want = bert.embed(tiny.texts, layers=[0, 1, 2]).values
    np.testing.assert_allclose(loaded.embed(tiny.texts).values, want, atol=1e-6)


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '{"spec": {}}'])
def test_a_folder_not_written_by_save_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "backbone.json").write_text(content, "utf-8")
    with pytest.raises(BackboneLoadError, match="is not a saved backbone"):
        Backbone.load(tmp_path)


def test_loading_a_plain_model_points_to_from_pretrained(bert, tmp_path):
    bert.save(tmp_path)
    (tmp_path / "backbone.json").unlink()
    with pytest.raises(BackboneLoadError, match=r"Load it with Backbone\.from_pretrained"):
        Backbone.load(tmp_path)
