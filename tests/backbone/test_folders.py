"""Model folders whose files do not belong together are refused with the reason, never misread."""

import json
import os
import shutil
import sys
import warnings

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from layerfuse.backbone import Backbone, attention_entropy, load_again
from layerfuse.backbone.flops import flops_per_text
from layerfuse.core.errors import BackboneChangedError, BackboneLoadError, DataError


def change(path, **fields):
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **fields}), "utf-8")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", ["[]", '"a"', "{"])
def test_an_invalid_json_file_is_refused_with_the_folder(copy_of, name, content):
    folder = copy_of("bert")
    (folder / name).write_text(content, "utf-8")
    with pytest.raises(BackboneLoadError, match=f"in {folder} cannot be loaded: .") as caught:
        Backbone.from_pretrained(folder)
    assert "Exception" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "field", "value", "said"),
    [
        ("config.json", "hidden_act", None, "Field 'hidden_act' expected str, got NoneType"),
        ("config.json", "num_attention_heads", 0, "ZeroDivisionError: "),
        ("config.json", "pad_token_id", 10**9, "AssertionError: Padding_idx must be within"),
        ("tokenizer.json", "model", None, "data did not match any variant"),
        ("tokenizer_config.json", "pad_token", 3, "TypeError: Special token pad_token has to be"),
        ("tokenizer_config.json", "model_max_length", "512", "model_max_length='512' in .* number"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_reason(copy_of, name, field, value, said):
    folder = copy_of("bert")
    change(folder / name, **{field: value})
    with pytest.raises(BackboneLoadError, match=said) as caught:
        Backbone.from_pretrained(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_a_padding_token_without_an_embedding_row_is_accepted(copy_of, tiny, family):
    folder = copy_of(family)
    want = Backbone.from_pretrained(folder, device="cpu")
    change(folder / "tokenizer_config.json", pad_token="[ADDED]")
    got = Backbone.from_pretrained(folder, device="cpu")
    assert got.tokenizer.pad_token_id >= len(got.model.get_input_embeddings().weight)
    np.testing.assert_array_equal(got.embed(tiny.texts).values, want.embed(tiny.texts).values)
    entropy = attention_entropy(got, tiny.texts).values
    np.testing.assert_array_equal(entropy, attention_entropy(want, tiny.texts).values)


def test_a_token_without_an_embedding_row_is_refused_by_name(copy_of, tiny):
    folder = copy_of("bert")
    change(folder / "tokenizer_config.json", extra_special_tokens=["[ADDED]"])
    backbone = Backbone.from_pretrained(folder, device="cpu")
    n_rows = len(backbone.model.get_input_embeddings().weight)
    texts = ["the cat", "the [ADDED] cat"]
    for run in (
        backbone.embed,
        lambda t: attention_entropy(backbone, t),
        lambda t: flops_per_text(backbone, t),
    ):
        with pytest.raises(
            DataError, match=rf"'\[ADDED\]' with id {n_rows}, .* have {n_rows} rows"
        ):
            run(texts)
    assert backbone.embed(tiny.texts).values.any()


def saved_cut(tiny, folder, seed_of="bert"):
    backbone = Backbone.from_pretrained(tiny.folder(seed_of), device="cpu").cut(1)
    backbone.save(folder)
    return backbone


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"]
)
def test_a_saved_backbone_with_an_exchanged_or_missing_file_is_refused(tiny, tmp_path, name):
    saved_cut(tiny, tmp_path / "one")
    saved_cut(tiny, tmp_path / "other", "roberta")
    shutil.copy(tmp_path / "other" / name, tmp_path / "one" / name)
    with pytest.raises(BackboneLoadError, match=f"one is not .* saved there: {name} is altered"):
        Backbone.load(tmp_path / "one")
    (tmp_path / "one" / name).unlink()
    with pytest.raises(BackboneLoadError, match=f"one is not .* saved there: {name} is missing"):
        Backbone.load(tmp_path / "one")


@pytest.mark.parametrize(
    ("field", "value"), [("deepest", 0), ("deepest", "1"), ("blocks", "x.y"), ("blocks", 3)]
)
def test_an_edited_backbone_json_is_refused(tiny, tmp_path, field, value):
    saved_cut(tiny, tmp_path)
    change(tmp_path / "backbone.json", **{field: value})
    with pytest.raises(BackboneLoadError, match=r"backbone\.json: the file was altered after"):
        Backbone.load(tmp_path)


@pytest.mark.parametrize("content", ["[]", "3", "{}", '{"spec": 1}', ""])
def test_an_invalid_backbone_json_is_refused(tiny, tmp_path, content):
    saved_cut(tiny, tmp_path)
    (tmp_path / "backbone.json").write_text(content, "utf-8")
    with pytest.raises(BackboneLoadError, match=f"{tmp_path} is not a saved backbone: backbone"):
        Backbone.load(tmp_path)


def test_other_files_in_the_folder_of_a_saved_backbone_are_ignored(tiny, tmp_path):
    (tmp_path / "notes.txt").write_text("mine", "utf-8")
    saved_cut(tiny, tmp_path)
    (tmp_path / "notes.txt").write_text("mine too", "utf-8")
    (tmp_path / "README.md").write_text("a card", "utf-8")
    assert Backbone.load(tmp_path, device="cpu").deepest == 1


def test_a_backbone_that_was_saved_without_digests_loads(tiny, tmp_path):
    backbone = saved_cut(tiny, tmp_path)
    path = tmp_path / "backbone.json"
    fields = json.loads(path.read_text("utf-8"))
    del fields["files"], fields["digest"]
    path.write_text(json.dumps(fields), "utf-8")
    loaded = Backbone.load(tmp_path, device="cpu")
    np.testing.assert_array_equal(loaded.embed(["cat"]).values, backbone.embed(["cat"]).values)


def test_from_pretrained_of_a_saved_cut_points_to_backbone_load(tiny, tmp_path):
    saved_cut(tiny, tmp_path)
    with pytest.raises(BackboneLoadError, match=r"was cut and saved\. Load it with Backbone\.load"):
        Backbone.from_pretrained(tmp_path)


def test_a_tilde_in_the_path_of_save_and_load_is_the_home_folder(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    saved_cut(tiny, "~/cut")
    assert (tmp_path / "home" / "cut" / "backbone.json").is_file()
    assert not [*(tmp_path / "here").iterdir()]
    assert Backbone.load("~/cut", device="cpu").deepest == 1


def test_weights_overwritten_in_place_are_detected(copy_of, tiny, tmp_path):
    """They are memory-mapped, so the loaded model changes with the file."""
    folder = copy_of("bert")
    backbone = Backbone.from_pretrained(folder, device="cpu")
    cut = backbone.cut(1)
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-4000:] = bytes(4000)
    path.write_bytes(content)
    for run in (
        lambda: backbone.embed(tiny.texts),
        lambda: cut.embed(tiny.texts),
        lambda: cut.save(tmp_path / "cut"),
        lambda: attention_entropy(backbone, tiny.texts),
    ):
        with pytest.raises(BackboneChangedError, match=f"{path} was overwritten in place"):
            run()


@pytest.mark.parametrize("replace", [True, False])
def test_replacing_or_deleting_the_weights_file_leaves_a_loaded_model_unchanged(
    copy_of, tiny, replace
):
    folder = copy_of("bert")
    backbone = Backbone.from_pretrained(folder, device="cpu")
    want = backbone.embed(tiny.texts).values
    path = folder / "model.safetensors"
    if replace:
        (folder / "new").write_bytes(bytes(path.stat().st_size))
        (folder / "new").rename(path)
    else:
        path.unlink()
    np.testing.assert_array_equal(backbone.embed(tiny.texts).values, want)


def split(folder, second):
    """Make two files of the weights, and an index of both."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    files = {name: "model-1.safetensors" if i % 2 else second for i, name in enumerate(names)}
    for file in {*files.values()}:
        part = {name: weights[name] for name in names if files[name] == file}
        save_file(part, folder / file, metadata={"format": "pt"})
    index = json.dumps({"metadata": {}, "weight_map": files})
    (folder / "model.safetensors.index.json").write_text(index, "utf-8")


def test_sharded_weights_are_loaded_and_a_missing_shard_is_named(copy_of, tiny):
    folder = copy_of("bert")
    want = Backbone.from_pretrained(folder, device="cpu").embed(tiny.texts).values
    split(folder, "model-2.safetensors")
    got = Backbone.from_pretrained(folder, device="cpu").embed(tiny.texts).values
    np.testing.assert_array_equal(got, want)
    (folder / "model-2.safetensors").unlink()
    with pytest.raises(
        BackboneLoadError, match=r"lacks model-2\.safetensors, which model\.safetens"
    ):
        Backbone.from_pretrained(folder)


@pytest.mark.parametrize("second", ["../other.safetensors", "inside/model-2.safetensors"])
def test_an_index_of_weights_outside_the_folder_is_refused(copy_of, second):
    """Their content is in no digest, so stored embeddings of other weights would be reused."""
    folder = copy_of("bert")
    (folder / "inside").mkdir()
    split(folder, second)
    with pytest.raises(BackboneLoadError, match=f"index.json names {second}. Expected"):
        Backbone.from_pretrained(folder)


@pytest.mark.parametrize("content", ["{", "{}", "[]", '{"weight_map": 3}'])
def test_an_invalid_index_of_weights_is_refused(copy_of, content):
    folder = copy_of("bert")
    split(folder, "model-2.safetensors")
    (folder / "model.safetensors.index.json").write_text(content, "utf-8")
    with pytest.raises(BackboneLoadError, match=r"index\.json is not an index of weights: \w+: ."):
        Backbone.from_pretrained(folder)


@pytest.mark.parametrize("kind", ["int8", "uint8", "bool"])
def test_integer_weights_are_refused(copy_of, kind):
    """Integers as stored by bitsandbytes, which can be read only with its configuration."""
    folder = copy_of("bert")
    weights = load_file(folder / "model.safetensors")
    name = "encoder.layer.1.output.dense.weight"
    weights[name] = (127 * weights[name] / np.abs(weights[name]).max()).astype(kind)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BackboneLoadError, match=rf"integers \(\w+\) for {name}, but its con"):
        Backbone.from_pretrained(folder)


def test_integer_position_ids_are_accepted(copy_of, bert, tiny):
    folder = copy_of("bert")
    weights = load_file(folder / "model.safetensors")
    weights["embeddings.position_ids"] = np.arange(8)[None]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    got = Backbone.from_pretrained(folder, device="cpu").embed(tiny.texts).values
    np.testing.assert_array_equal(got, bert.embed(tiny.texts).values)


def test_a_tokenizer_without_words_is_refused(copy_of):
    """The named class reads other files than the folder has, so all texts would be equal."""
    folder = copy_of("llama")
    (folder / "tokenizer.json").rename(folder / "old_vocabulary")
    change(folder / "tokenizer_config.json", tokenizer_class="LlamaTokenizer")
    with pytest.raises(BackboneLoadError, match="no tokens for any text: LlamaTokenizer found"):
        Backbone.from_pretrained(folder)


def test_a_subfolder_that_contains_the_model_is_suggested(copy_of, tmp_path):
    copy_of("bert").rename(tmp_path / "0_Transformer")
    with pytest.raises(BackboneLoadError, match="subfolder 0_Transformer may contain a model"):
        Backbone.from_pretrained(tmp_path)


def test_a_subfolder_without_readable_weights_is_not_suggested(copy_of):
    """Such as a sentence-transformers folder with weights that are not read."""
    folder = copy_of("bert")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text("{}", "utf-8")
    with pytest.raises(BackboneLoadError, match=r"Weights in other formats are not read"):
        Backbone.from_pretrained(folder)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_blocks_beyond_the_count_of_the_configuration_cause_a_warning(copy_of, tiny, family):
    folder = copy_of(family)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    field = "num_hidden_layers" if family == "bert" else "n_layer"
    change(folder / "config.json", **{field: config[field] - 1})
    with pytest.warns(UserWarning, match=rf"of blocks beyond .* such as .*{config[field] - 1}\."):
        short = Backbone.from_pretrained(folder, device="cpu")
    want = Backbone.from_pretrained(tiny.folder(family), device="cpu").embed(tiny.texts).values
    got = short.embed(tiny.texts).values
    np.testing.assert_allclose(got, want[: len(got)], atol=1e-6)


def test_a_deleted_model_folder_is_named_with_the_backbone_loaded_from_it(copy_of):
    folder = copy_of("bert")
    spec = Backbone.from_pretrained(folder, device="cpu").spec
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(BackboneLoadError, match=r"does not exist any more\. bert was .*include_"):
        load_again(str(folder), spec)


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes are Linux's")
def test_saving_under_a_name_that_is_not_utf_8_is_refused(tiny, tmp_path):
    backbone = Backbone.from_pretrained(tiny.folder("bert"), device="cpu")
    with pytest.raises(OSError, match="cannot be written: its name is not valid UTF-8"):
        backbone.save(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))


def with_prompts(folder, default):
    """Write the file in which sentence-transformers keeps prompts."""
    prompts = {"query": "the cat ", "document": ""}
    fields = {"prompts": prompts, "default_prompt_name": default}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(fields), "utf-8")


def test_a_default_prompt_of_sentence_transformers_causes_a_warning(copy_of):
    folder = copy_of("bert")
    with_prompts(folder, "query")
    with pytest.warns(UserWarning, match=r"the prompt 'the cat ' before .* prompt='the cat '"):
        Backbone.from_pretrained(folder, device="cpu")


@pytest.mark.parametrize(
    ("default", "prompt"),
    [(None, ""), ("document", ""), ("gone", ""), ("query", "the cat "), ("query", "{text}")],
)
def test_no_prompt_warning_without_a_default_prompt_or_with_a_given_one(
    copy_of, tiny, default, prompt
):
    folder = copy_of("bert")
    with_prompts(folder, default)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = Backbone.from_pretrained(folder, device="cpu", prompt=prompt).embed(tiny.texts)
    if prompt == "{text}":
        plain = Backbone.from_pretrained(tiny.folder("bert"), device="cpu").embed(tiny.texts)
        np.testing.assert_array_equal(found.values, plain.values)


def test_an_invalid_file_of_prompts_causes_no_warning(copy_of):
    folder = copy_of("bert")
    (folder / "config_sentence_transformers.json").write_text("[", "utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Backbone.from_pretrained(folder, device="cpu")


def test_the_prompt_warning_is_not_repeated_when_a_backbone_is_loaded_again(copy_of):
    """Loading it again does not warn, because it reads texts as when it was fitted."""
    folder = copy_of("bert")
    with_prompts(folder, "query")
    with pytest.warns(UserWarning, match="the prompt"):
        backbone = Backbone.from_pretrained(folder, device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_again(str(folder), backbone.spec)
