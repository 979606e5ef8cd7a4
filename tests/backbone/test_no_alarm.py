"""Model folders that look strange but are valid: neither errors nor warnings."""

import hashlib
import json
import os
import pickle
import warnings

import numpy as np
import pytest
import transformers as tf
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from layerfuse.backbone import Backbone, load_included
from layerfuse.core.errors import BackboneChangedError


def add(folder, more):
    """Put more tensors into a file of weights."""
    path = folder / "model.safetensors"
    save_file({**load_file(path), **more}, path, metadata={"format": "pt"})


def load_quietly(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return Backbone.from_pretrained(folder, device="cpu")


@pytest.mark.parametrize("kind", ["uint8", "bool"])
@pytest.mark.parametrize(
    ("family", "name"), [("gpt2", "h.0.attn.bias"), ("gpt-neox", "layers.0.attention.bias")]
)
def test_attention_masks_saved_as_biases_cause_no_warning(copy_of, tiny, family, name, kind):
    """Checkpoints of GPT-2, GPT-Neo, GPT-J and Pythia have such tensors."""
    folder = copy_of(family)
    add(folder, {name: np.tril(np.ones((1, 1, 48, 48))).astype(kind)})
    want = Backbone.from_pretrained(tiny.folder(family), device="cpu").embed(tiny.texts).values
    np.testing.assert_array_equal(load_quietly(folder).embed(tiny.texts).values, want)


@pytest.mark.parametrize("beginning", ["other.", "mtp.", "model.mtp."])
def test_a_second_tower_with_like_named_blocks_is_not_counted_as_more_blocks(
    copy_of, tiny, beginning
):
    folder = copy_of("llama")
    weights = load_file(folder / "model.safetensors")
    add(folder, {f"{beginning}{name}": weight for name, weight in weights.items()})
    want = Backbone.from_pretrained(tiny.folder("llama"), device="cpu").embed(tiny.texts).values
    np.testing.assert_array_equal(load_quietly(folder).embed(tiny.texts).values, want)


def test_a_vision_tower_deeper_than_the_text_tower_causes_no_warning(tiny, tmp_path):
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48}
    tokenizer = tiny.families["roberta"].tokenizer()
    reads = tf.CLIPTextConfig(vocab_size=len(tokenizer), num_hidden_layers=2, **sizes)
    sees = tf.CLIPVisionConfig(num_hidden_layers=4, image_size=16, patch_size=8, **sizes)
    both = tf.CLIPConfig(text_config=reads.to_dict(), vision_config=sees.to_dict())
    tf.CLIPModel(both).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    reads.save_pretrained(tmp_path)
    assert load_quietly(tmp_path).spec.n_layers == 2


def test_blocks_of_a_checkpoint_with_a_head_are_counted(tiny, tmp_path):
    """Names of tensors then begin with that of the model."""
    config = tf.LlamaConfig(vocab_size=300, **tiny.families["llama"].options)
    tf.LlamaForCausalLM(config).save_pretrained(tmp_path)
    tiny.families["llama"].tokenizer().save_pretrained(tmp_path)
    assert load_quietly(tmp_path).spec.n_layers == 3
    fewer = json.loads((tmp_path / "config.json").read_text("utf-8")) | {"num_hidden_layers": 2}
    (tmp_path / "config.json").write_text(json.dumps(fewer), "utf-8")
    with pytest.warns(UserWarning, match=r"of blocks beyond .* such as model\.layers\.2\."):
        Backbone.from_pretrained(tmp_path)


def test_a_tokenizer_without_an_unknown_token_is_accepted(copy_of, bert, tiny):
    """It refuses texts with unknown words, as transformers does."""
    folder = copy_of("bert")
    words = {token: i for token, i in bert.tokenizer.get_vocab().items() if token != "[UNK]"}
    rust = Tokenizer(models.WordLevel(words, unk_token="no such"))
    rust.pre_tokenizer = pre_tokenizers.Whitespace()
    tf.PreTrainedTokenizerFast(tokenizer_object=rust, pad_token="[PAD]").save_pretrained(folder)
    assert load_quietly(folder).embed(["the cat sat"]).values.any()


def test_a_tokenizer_without_latin_letters_is_accepted(copy_of):
    folder = copy_of("bert")
    letters = ["[PAD]", "[CLS]", *"абвгд"]
    rust = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    rust.add_special_tokens(letters[:2])
    rust.post_processor = processors.TemplateProcessing("[CLS] $A", special_tokens=[("[CLS]", 1)])
    tf.PreTrainedTokenizerFast(tokenizer_object=rust, pad_token="[PAD]").save_pretrained(folder)
    values = load_quietly(folder).embed(["ад", "да"]).values
    assert not np.array_equal(values[:, 0], values[:, 1])


def written_over(path):
    content = bytearray(path.read_bytes())
    content[-4000:] = bytes(4000)
    path.write_bytes(content)


@pytest.mark.parametrize("way", ["from_pretrained", "load", "load_included"])
def test_a_touched_weights_file_is_not_taken_for_an_overwritten_one(copy_of, tiny, tmp_path, way):
    """A clean-up that deletes unused files may touch those that are in use."""
    folder = copy_of("bert")
    backbone = Backbone.from_pretrained(folder, device="cpu")
    if way != "from_pretrained":
        folder = tmp_path / "saved"
        backbone.save(folder)
        backbone = Backbone.load(folder, device="cpu")
    if way == "load_included":
        backbone = load_included(folder, device="cpu", trust_remote_code=False)
    cut, want = backbone.cut(1), backbone.embed(tiny.texts).values
    os.utime(folder / "model.safetensors", (1, 1))
    np.testing.assert_array_equal(backbone.embed(tiny.texts).values, want)
    assert cut.embed(tiny.texts).values.any()
    written_over(folder / "model.safetensors")
    for one in (backbone, cut):
        with pytest.raises(BackboneChangedError, match="was overwritten in place"):
            one.embed(tiny.texts)


def test_a_pickled_backbone_does_not_depend_on_the_weights_file(copy_of, tiny):
    """Weights are copied into the pickle, as for the processes of joblib."""
    folder = copy_of("bert")
    backbone = Backbone.from_pretrained(folder, device="cpu")
    whole, cut = (pickle.loads(pickle.dumps(one)) for one in (backbone, backbone.cut(1)))
    want = backbone.embed(tiny.texts).values
    written_over(folder / "model.safetensors")
    np.testing.assert_array_equal(whole.embed(tiny.texts).values, want)
    np.testing.assert_array_equal(cut.embed(tiny.texts).values, want[: len(cut.refs)])


def test_a_touched_weights_file_of_the_hub_is_identified_by_its_name(copy_of, tiny, monkeypatch):
    """The hub's cache names files by digest and links to them, so no digest is computed."""
    folder = copy_of("bert")
    path = folder / "model.safetensors"
    blob = folder / hashlib.sha256(path.read_bytes()).hexdigest()
    path.rename(blob)
    path.symlink_to(blob)
    backbone = load_quietly(folder)
    monkeypatch.setattr("layerfuse.core.files._DIGESTS", {})
    os.utime(blob, (1, 1))
    assert backbone.embed(tiny.texts).values.any()
    written_over(blob)
    with pytest.raises(BackboneChangedError):
        backbone.embed(tiny.texts)


def test_weights_converted_to_another_precision_may_be_overwritten(copy_of, tiny):
    folder = copy_of("llama")
    tf.AutoModel.from_pretrained(folder, dtype="bfloat16").save_pretrained(folder)
    backbone = load_quietly(folder)
    want = backbone.embed(tiny.texts).values
    written_over(folder / "model.safetensors")
    np.testing.assert_array_equal(backbone.embed(tiny.texts).values, want)
