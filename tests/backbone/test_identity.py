"""A frozen backbone: what its fingerprint covers, what it never touches, what it refuses."""

import copy
import dataclasses
import json
import pickle
import shutil
import threading
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import normalizers
from transformers import PreTrainedTokenizerFast

from layerfuse.backbone import Backbone, attention_entropy, load_again
from layerfuse.backbone.flops import flops_per_text
from layerfuse.backbone.load import tokenizer_digest
from layerfuse.backbone.tap import LayerTap
from layerfuse.core.errors import BackboneChangedError, BackboneLoadError, FeatureError, LayerError
from layerfuse.core.spec import BackboneSpec


def fingerprint(folder, **options):
    return Backbone.from_pretrained(folder, device="cpu", **options).spec.fingerprint


@pytest.mark.parametrize(
    "options",
    [
        {"pooling": "first"},
        {"pooling": ["mean", "last"]},
        {"max_tokens": 32},
        {"dtype": "bfloat16"},
        {"prompt": "query: "},
        {"skip_first_token": True},
    ],
    ids=str,
)
def test_fingerprint_depends_on_every_option_that_changes_numbers(tiny, bert, options):
    assert fingerprint(tiny.folder("bert"), **options) != bert.spec.fingerprint


def test_fingerprint_does_not_depend_on_name_or_location(tiny, bert, tmp_path):
    assert fingerprint(tiny.folder("bert"), name="other") == bert.spec.fingerprint
    moved = shutil.copytree(tiny.folder("bert"), tmp_path / "moved")
    assert fingerprint(moved) == bert.spec.fingerprint


def test_fingerprint_depends_on_the_weights(bert, copy_of):
    folder = copy_of("bert")
    assert fingerprint(folder) == bert.spec.fingerprint
    weights = load_file(folder / "model.safetensors")
    weights["encoder.layer.0.output.dense.bias"][3] += 1e-3
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert fingerprint(folder) != bert.spec.fingerprint


def test_fingerprint_depends_on_the_tokenizer(bert, copy_of):
    folder = copy_of("bert")
    path = folder / "tokenizer.json"
    path.write_text(path.read_text("utf-8").replace('"zebra"', '"zebrb"'), "utf-8")
    assert fingerprint(folder) != bert.spec.fingerprint


def with_start_token(folder, token):
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.bos_token = token
    tokenizer.save_pretrained(folder)
    return Backbone.from_pretrained(folder, device="cpu")


def test_fingerprint_depends_on_the_token_that_replaces_an_empty_text(copy_of):
    one, other = (with_start_token(copy_of("qwen2"), t) for t in ("<|endoftext|>", "<|im_end|>"))
    empty, words = (np.abs(one.embed(t).values - other.embed(t).values) for t in ([""], ["a"]))
    assert empty.max() > 0.01
    assert words.max() == 0
    assert one.spec.fingerprint != other.spec.fingerprint


def test_fingerprint_depends_on_whether_special_tokens_in_a_text_are_split(copy_of):
    folder = copy_of("bert")
    before = Backbone.from_pretrained(folder, device="cpu")
    settings = folder / "tokenizer_config.json"
    fields = json.loads(settings.read_text()) | {"split_special_tokens": True}
    settings.write_text(json.dumps(fields))
    after = Backbone.from_pretrained(folder, device="cpu")
    one, other = (b.embed(["the [SEP] cat"]).values for b in (before, after))
    assert np.abs(one - other).max() > 0.01
    assert after.spec.fingerprint != before.spec.fingerprint
    # Backbones saved before this was part of the key still load.
    digest = tokenizer_digest(after.tokenizer, as_before=True)
    spec = dataclasses.replace(after.spec, tokenizer=digest)
    again = load_again(after.origin, spec, device="cpu")
    np.testing.assert_array_equal(again.embed(["the [SEP] cat"]).values, other)


def test_a_fingerprint_from_before_empty_texts_had_a_token_is_accepted(copy_of):
    backbone = with_start_token(copy_of("qwen2"), "<|im_end|>")
    tokenizer = tokenizer_digest(backbone.tokenizer, as_before=True)
    before = dataclasses.replace(backbone.spec, tokenizer=tokenizer)
    assert before.fingerprint != backbone.spec.fingerprint
    assert load_again(backbone.origin, before, device="cpu").spec == backbone.spec
    with_start_token(copy_of("qwen2"), "<|endoftext|>")
    with pytest.raises(BackboneLoadError, match="is not the backbone that was used before"):
        load_again(backbone.origin, backbone.spec, device="cpu")


def test_the_tokenizer_digest_is_unchanged_where_every_text_has_tokens(bert):
    assert tokenizer_digest(bert.tokenizer, as_before=True) == bert.spec.tokenizer


CHANGES = {
    "truncation_side": lambda tokenizer: setattr(tokenizer, "truncation_side", "left"),
    "special tokens": lambda tokenizer: setattr(tokenizer, "bos_token", "<|endoftext|>"),
    "added tokens": lambda tokenizer: tokenizer.add_tokens(["zebraquux"]),
    "split_special_tokens": lambda tokenizer: tokenizer("a", split_special_tokens=True),
    "normalizer": lambda tokenizer: setattr(
        tokenizer.backend_tokenizer, "normalizer", normalizers.Lowercase()
    ),
    "dropout": lambda tokenizer: setattr(tokenizer.backend_tokenizer.model, "dropout", 0.5),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_tokenizer_that_was_changed_in_place_is_refused(copy_of, tmp_path, what):
    family = (
        "qwen2" if what == "special tokens" else "llama"
    )  # its tokenizer gives an empty text no token
    backbone = Backbone.from_pretrained(copy_of(family), device="cpu")
    one = pickle.loads(pickle.dumps(backbone))
    CHANGES[what](one.tokenizer)
    for use in (
        lambda: one.embed(["a"]),
        lambda: one.cut(1),
        lambda: one.renamed("other"),
        lambda: one.save(tmp_path / "saved"),
        lambda: flops_per_text(one, ["a"]),
        lambda: attention_entropy(one, ["a"]),
    ):
        with pytest.raises(BackboneChangedError, match=rf"of {family} was changed .*\(.*{what}"):
            use()
    assert not (tmp_path / "saved").exists()
    assert backbone.embed(["a"]).values.size


def test_a_cut_detects_a_change_of_the_shared_tokenizer(copy_of):
    backbone = Backbone.from_pretrained(copy_of("llama"), device="cpu")
    cut = backbone.cut(1)
    backbone.tokenizer.truncation_side = "left"
    with pytest.raises(BackboneChangedError, match="truncation_side"):
        cut.embed(["a"])
    backbone.tokenizer.truncation_side = "right"
    assert cut.embed(["a"]).values.size


@pytest.mark.parametrize("family", ["bert", "qwen2"])
def test_calls_of_the_tokenizer_do_not_change_embeddings(copy_of, tiny, family):
    backbone = Backbone.from_pretrained(copy_of(family), device="cpu")
    want = backbone.embed(tiny.texts).values
    backbone.tokenizer(tiny.texts, truncation=True, max_length=4, padding="max_length")
    backbone.tokenizer.padding_side = "left"
    if family == "bert":  # every text has tokens, so no token replaces an empty one
        backbone.tokenizer.bos_token = backbone.tokenizer.cls_token
    np.testing.assert_array_equal(backbone.embed(tiny.texts).values, want)


@pytest.mark.filterwarnings("ignore::layerfuse.core.errors.TruncationWarning")
def test_a_folder_saved_as_the_error_advises_truncates_on_the_left(copy_of, tmp_path):
    backbone = Backbone.from_pretrained(copy_of("llama"), max_tokens=4, device="cpu")
    folder = tmp_path / "left"
    backbone.model.save_pretrained(folder)
    backbone.tokenizer.save_pretrained(folder)
    settings = folder / "tokenizer_config.json"
    config = json.loads(settings.read_text("utf-8")) | {"truncation_side": "left"}
    settings.write_text(json.dumps(config), "utf-8")
    left = Backbone.from_pretrained(folder, max_tokens=4, device="cpu")
    assert left.spec.tokenizer != backbone.spec.tokenizer
    text = "zebra quux the cat"
    ids = backbone.tokenizer(text)["input_ids"]
    assert len(ids) == 5
    first, last = (backbone.tokenizer.decode(part) for part in (ids[1:4], ids[-3:]))
    for one, kept in ((backbone, first), (left, last)):
        values = one.embed([text, kept]).values
        np.testing.assert_allclose(values[:, 0], values[:, 1], atol=1e-6)
    left.cut(1).save(tmp_path / "cut")
    loaded = Backbone.load(tmp_path / "cut", device="cpu")
    np.testing.assert_array_equal(loaded.embed([text]).values, left.cut(1).embed([text]).values)


@pytest.fixture
def own_code(copy_of, modules_of_models):
    """Make a BERT whose folder has a model class of its own, which counts embeddings double."""
    folder = copy_of("bert")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["auto_map"] = {"AutoModel": "own.OwnModel"}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    (folder / "own.py").write_text(
        "from transformers import BertModel\n"
        "FACTOR = 2.0\n"
        "class OwnModel(BertModel):\n"
        "    def __init__(self, config):\n"
        "        super().__init__(config)\n"
        "        word = self.embeddings.word_embeddings\n"
        "        word.register_forward_hook(lambda _m, _a, out: out * FACTOR)\n",
        "utf-8",
    )
    return folder


def test_fingerprint_depends_on_the_python_code_of_a_model(own_code, tiny):
    plain = Backbone.from_pretrained(own_code, device="cpu")
    trusted = Backbone.from_pretrained(own_code, trust_remote_code=True, device="cpu")
    assert [type(b.model).__name__ for b in (plain, trusted)] == ["BertModel", "OwnModel"]
    assert np.abs(plain.embed(tiny.texts).values - trusted.embed(tiny.texts).values).max() > 0.1
    code = own_code / "own.py"
    code.write_text(code.read_text("utf-8").replace("2.0", "3.0"), "utf-8")
    edited = Backbone.from_pretrained(own_code, trust_remote_code=True, device="cpu")
    assert len({b.spec.fingerprint for b in (plain, trusted, edited)}) == 3
    assert "code" not in plain.spec.to_dict()  # so that keys of earlier versions stay valid
    for one in (plain, trusted, edited):
        assert BackboneSpec.from_dict(one.spec.to_dict()) == one.spec


def test_fingerprint_depends_on_code_in_another_repository(own_code, tmp_path):
    """It may change while the revision of the weights stays."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    code = (
        (own_code / "own.py")
        .read_text("utf-8")
        .replace("FACTOR = 2.0", "from .parts import FACTOR")
    )
    (elsewhere / "own.py").write_text(code, "utf-8")
    (own_code / "own.py").unlink()
    config = json.loads((own_code / "config.json").read_text("utf-8"))
    config["auto_map"] = {"AutoModel": f"{elsewhere}--own.OwnModel"}
    (own_code / "config.json").write_text(json.dumps(config), "utf-8")
    found = []
    for factor in ("2.0", "3.0", "2.0"):
        (elsewhere / "parts.py").write_text(f"FACTOR = {factor}\n", "utf-8")
        loaded = Backbone.from_pretrained(own_code, trust_remote_code=True, device="cpu")
        found.append(loaded.spec.code)
    assert found[0] == found[2] != found[1]


def test_a_saved_cut_with_its_own_code_loads_only_if_trusted(own_code, tiny, tmp_path):
    cut = Backbone.from_pretrained(own_code, trust_remote_code=True, device="cpu").cut(2)
    cut.save(tmp_path / "cut")
    with pytest.raises(BackboneLoadError, match=r"its own Python code.*trust_remote_code=True"):
        Backbone.load(tmp_path / "cut", device="cpu")
    loaded = Backbone.load(tmp_path / "cut", device="cpu", trust_remote_code=True)
    assert loaded.n_parameters == cut.n_parameters
    np.testing.assert_array_equal(loaded.embed(tiny.texts).values, cut.embed(tiny.texts).values)


def test_fingerprint_depends_on_a_block_path_only_where_it_was_needed(tiny, bert):
    same = Backbone.from_pretrained(tiny.folder("bert"), blocks="encoder.layer", device="cpu")
    assert same.spec == bert.spec
    other = dataclasses.replace(bert.spec, blocks="other.layers")
    assert other.fingerprint != bert.spec.fingerprint
    assert BackboneSpec.from_dict(other.to_dict()) == other


def test_fingerprint_is_the_same_after_use(tiny, bert):
    bert.embed(["a", "the cat"])  # this switches truncation on in the Rust tokenizer
    assert fingerprint(tiny.folder("bert")) == bert.spec.fingerprint


def test_a_prompt_without_placeholder_is_put_before_every_text(tiny, bert):
    prompted = Backbone.from_pretrained(tiny.folder("bert"), prompt="the dog ", device="cpu")
    got = prompted.embed(["", *tiny.texts[:2]]).values
    want = bert.embed(["the dog ", *(f"the dog {text}" for text in tiny.texts[:2])]).values
    np.testing.assert_array_equal(got, want)
    assert np.abs(got[:, 1:] - bert.embed(tiny.texts[:2]).values).max() > 0.01


def test_a_prompt_with_placeholders_is_put_around_every_text(tiny):
    prompt = "the dog {text} on the {text} mat"
    prompted = Backbone.from_pretrained(tiny.folder("llama"), prompt=prompt, device="cpu")
    texts = ["", *tiny.texts[:2], "{text}"]
    want = [f"the dog {text} on the {text} mat" for text in texts]
    plain = Backbone.from_pretrained(tiny.folder("llama"), device="cpu")
    np.testing.assert_array_equal(prompted.embed(texts).values, plain.embed(want).values)


def test_bfloat16_is_close_to_float32(family, tiny):
    values = []
    for dtype in ("float32", "bfloat16"):
        backbone = Backbone.from_pretrained(tiny.folder(family.name), dtype=dtype, device="cpu")
        assert {p.dtype for p in backbone.model.parameters()} == {getattr(torch, dtype)}
        values.append(backbone.embed(tiny.texts).values.astype(np.float64))
        assert backbone.embed(["a"]).values.dtype == np.float32
    a, b = values
    cosine = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    assert cosine.min() > 0.99
    assert np.abs(a - b).max() > 0


def test_weights_are_frozen_and_nothing_global_changes(tiny):
    seed, threads = torch.random.get_rng_state(), torch.get_num_threads()
    numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002 - the global state is the subject
    grad, default = torch.is_grad_enabled(), torch.get_default_dtype()
    backbone = Backbone.from_pretrained(tiny.folder("llama"), device="cpu", dtype="bfloat16")
    before = {name: t.clone() for name, t in backbone.model.state_dict().items()}
    backbone.embed(tiny.texts)
    backbone.cut(1).embed(tiny.texts)
    assert not any(p.requires_grad for p in backbone.model.parameters())
    assert not backbone.model.training
    assert all(torch.equal(t, before[n]) for n, t in backbone.model.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), seed)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002
    assert (torch.get_num_threads(), torch.is_grad_enabled()) == (threads, grad)
    assert torch.get_default_dtype() == default


def test_same_texts_give_the_same_bytes(bert, tiny):
    np.testing.assert_array_equal(bert.embed(tiny.texts).values, bert.embed(tiny.texts).values)


def test_rows_come_in_the_requested_order_of_layers(bert, tiny):
    whole = bert.embed(tiny.texts)
    some = bert.embed(tiny.texts, layers=[2, 0])
    assert [ref.layer for ref in some.refs] == [2, 2, 0, 0]  # under two poolings each
    for ref in some.refs:
        np.testing.assert_allclose(some.row(ref), whole.row(ref), atol=1e-6)


def test_a_layer_that_does_not_exist_is_refused_with_the_existing_ones(bert):
    with pytest.raises(LayerError, match=r"bert:4:mean is not .*layers 0 to 3 pooled by mean"):
        bert.embed(["a"], layers=[1, 4])
    with pytest.raises(LayerError, match="at least one layer of bert"):
        bert.embed(["a"], layers=[])
    refs = bert.refs[:1]
    other = tuple(type(ref)("other", ref.layer, ref.pooling) for ref in refs)
    with pytest.raises(LayerError, match="other:0:mean is not a layer"):
        bert.stream(["a"], other)


def test_weights_that_are_not_finite_are_refused_with_the_layer(copy_of):
    folder = copy_of("bert")
    weights = load_file(folder / "model.safetensors")
    weights["encoder.layer.1.output.LayerNorm.bias"][0] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    backbone = Backbone.from_pretrained(folder, device="cpu", name="broken")
    with pytest.raises(FeatureError, match=r"broken:2:mean has values that are not finite"):
        backbone.embed(["the cat"])
    assert np.isfinite(backbone.embed(["the cat"], layers=[0, 1]).values).all()


def test_threads_and_open_streams_do_not_disturb_each_other(bert):
    texts = [f"w{i % 20} the cat w{i % 7} " * (i % 5 + 1) for i in range(150)]
    want = bert.embed(texts)
    found = []

    def run(layers):
        for _ in range(4):
            got = bert.embed(texts, layers=layers, progress=False)
            found.append(max(np.abs(got.row(ref) - want.row(ref)).max() for ref in got.refs))

    threads = [threading.Thread(target=run, args=(ls,)) for ls in ([0, 1, 2, 3], [1], [2, 3])]
    ref = bert.refs_of([1])[0]
    half_read = bert.stream(texts, (ref,), progress=False)
    next(half_read)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12
    assert max(found) < 1e-5
    positions, values = next(half_read)
    np.testing.assert_allclose(values[0], want.row(ref)[positions], atol=1e-5)


def test_a_deep_copy_is_the_backbone_itself_and_a_pickle_is_equal(bert, tiny):
    assert copy.deepcopy(bert) is bert
    unpickled = pickle.loads(pickle.dumps(bert))
    assert unpickled.spec == bert.spec
    np.testing.assert_array_equal(unpickled.embed(tiny.texts).values, bert.embed(tiny.texts).values)


def test_a_backbone_is_pickled_while_another_thread_embeds(bert, tiny, monkeypatch):
    """The hooks of a thread cannot be pickled."""
    run, running = LayerTap.run, threading.Event()

    def slowly(self, model, ids, mask):
        running.set()
        time.sleep(0.2)
        return run(self, model, ids, mask)

    want = bert.embed(tiny.texts).values
    both = [bert, bert.cut(2)]
    n_bytes = len(pickle.dumps(both))
    with monkeypatch.context() as patch:
        patch.setattr(LayerTap, "run", slowly)
        thread = threading.Thread(target=bert.embed, args=(tiny.texts,))
        thread.start()
        running.wait()
        pickled = pickle.dumps(both)
        thread.join()
    assert len(pickled) == n_bytes < 1.3 * len(pickle.dumps(bert))  # tensors are there once
    whole, cut = pickle.loads(pickled)
    np.testing.assert_array_equal(whole.embed(tiny.texts).values, want)
    np.testing.assert_array_equal(cut.embed(tiny.texts).values, want[: len(cut.refs)])


def test_a_backbone_shows_its_name_and_layers(bert):
    assert repr(bert.cut(2)) == "<Backbone bert: layers 0 to 2, mean+first>"


def test_a_saved_and_loaded_cut_can_be_pickled(bert, tiny, tmp_path):
    cut = bert.cut(2)
    cut.save(tmp_path)
    loaded = Backbone.load(tmp_path, device="cpu")
    assert type(loaded.model) is type(bert.model)
    unpickled = pickle.loads(pickle.dumps(loaded))
    assert (unpickled.spec, unpickled.deepest) == (cut.spec, 2)
    np.testing.assert_array_equal(unpickled.embed(tiny.texts).values, cut.embed(tiny.texts).values)


def test_max_tokens_is_at_most_the_limit_of_the_tokenizer(tiny, tmp_path):
    folder = shutil.copytree(tiny.folder("bert"), tmp_path / "short")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.model_max_length = 10
    tokenizer.save_pretrained(folder)
    assert Backbone.from_pretrained(folder, device="cpu").spec.max_tokens == 10
