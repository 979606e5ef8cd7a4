"""Model folders whose files do not belong together: refused by what is wrong, never misread."""

import json

import numpy as np
import pytest

from layerfuse.backbone import Backbone, attention_entropy
from layerfuse.backbone.flops import flops_per_text
from layerfuse.core.errors import BackboneLoadError, DataError


def change(path, **fields):
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **fields}), "utf-8")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", ["[]", '"a"', "{"])
def test_settings_of_another_kind_are_told_with_the_folder(copy_of, name, content):
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
def test_a_setting_that_is_wrong_is_told_with_what_is_wrong(copy_of, name, field, value, said):
    folder = copy_of("bert")
    change(folder / name, **{field: value})
    with pytest.raises(BackboneLoadError, match=said) as caught:
        Backbone.from_pretrained(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_a_padding_token_without_a_row_is_no_reason_to_refuse(copy_of, tiny, family):
    folder = copy_of(family)
    want = Backbone.from_pretrained(folder, device="cpu")
    change(folder / "tokenizer_config.json", pad_token="[ADDED]")
    got = Backbone.from_pretrained(folder, device="cpu")
    assert got.tokenizer.pad_token_id >= len(got.model.get_input_embeddings().weight)
    np.testing.assert_array_equal(got.embed(tiny.texts).values, want.embed(tiny.texts).values)
    entropy = attention_entropy(got, tiny.texts).values
    np.testing.assert_array_equal(entropy, attention_entropy(want, tiny.texts).values)


def test_a_token_without_a_row_is_named(copy_of, tiny):
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
        with pytest.raises(DataError, match=rf"'\[ADDED\]' of id {n_rows}, .* have {n_rows} rows"):
            run(texts)
    assert backbone.embed(tiny.texts).values.any()
