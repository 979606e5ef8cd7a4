"""Texts to batches: truncation, duplicates, odd texts, the token budget."""

import re
import warnings

import numpy as np
import pytest

from layerfuse.backbone import Backbone, load
from layerfuse.backbone.budget import TokenBudget
from layerfuse.backbone.tokens import TokenizedTexts, tokenize
from layerfuse.core.errors import BackboneLoadError, DataError, UnknownOptionError


def tokens_of(lengths):
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return TokenizedTexts(
        np.arange(starts[-1], dtype=np.int32), starts, np.zeros(len(lengths), bool)
    )


def batches_of(lengths, budget):
    tokens = tokens_of(lengths)
    order, batches = tokens.longest_first(), []
    while len(order):
        batches += tokens.batches(order, budget, 1)
        order = order[len(batches[-1]) :]
    return batches


@pytest.mark.parametrize("seed", range(20))
def test_each_text_is_in_exactly_one_batch_within_the_token_budget(seed):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, rng.integers(2, 200), size=rng.integers(1, 300))
    budget = int(rng.integers(1, 600))
    batches = batches_of(lengths, budget)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= budget
    longest = [int(lengths[batch].max()) for batch in batches]
    assert longest == sorted(longest, reverse=True)


def test_batches_are_filled_up_to_the_token_budget():
    assert [len(batch) for batch in batches_of([4] * 10, 16)] == [4, 4, 2]


def test_no_texts_give_no_batches():
    assert batches_of([], 16) == []


def test_padded_ids_and_mask():
    ids, mask = tokens_of([2, 3, 1]).padded(np.array([1, 2]), pad_id=99)
    assert ids.tolist() == [[2, 3, 4], [5, 99, 99]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]


def test_ids_equal_the_wrapper_of_transformers(backbone, tiny):
    texts = [*tiny.texts, "unseen words, here!", "été 日本 😀"]
    tokens = tokenize(backbone.tokenizer, texts, backbone.spec.max_tokens, "")
    for i, text in enumerate(texts):
        want = backbone.tokenizer(text)["input_ids"]
        assert tokens.ids[tokens.starts[i] : tokens.starts[i + 1]].tolist() == want


def test_texts_of_several_tokenisation_chunks_keep_their_order(bert):
    texts = [f"w{i % 20} w{i // 20 % 20}" for i in range(2100)]
    tokens = tokenize(bert.tokenizer, texts, 48, "")
    for i in (0, 1023, 1024, 2048, 2099):
        got = tokens.ids[tokens.starts[i] : tokens.starts[i + 1]].tolist()
        assert got == bert.tokenizer(texts[i])["input_ids"]


def test_truncated_texts_are_counted_in_one_warning(tiny):
    backbone = Backbone.from_pretrained(tiny.folder("bert"), max_tokens=5, device="cpu")
    texts = ["the cat sat", "the cat sat on", "the dog sat on the mat", "the cat sat on", "a"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        values = backbone.embed(texts).values
    assert [str(w.message) for w in caught] == [
        "bert: 3 of 5 texts are longer than max_tokens=5 and were truncated."
    ]
    np.testing.assert_allclose(values[:, 1], values[:, 0], atol=1e-6)  # [SEP] is kept


def test_no_warning_without_truncated_texts(tiny, recwarn):
    Backbone.from_pretrained(tiny.folder("bert"), max_tokens=5, device="cpu").embed(["the cat sat"])
    assert not list(recwarn)


def test_max_tokens_above_the_limit_of_the_model_is_refused(tiny):
    with pytest.raises(BackboneLoadError, match="max_tokens=47, but roberta takes at most 46"):
        Backbone.from_pretrained(tiny.folder("roberta"), max_tokens=47)


def words_of(tokenizer, text, max_tokens, prompt):
    tokens = tokenize(tokenizer, ["a", text], max_tokens, prompt)
    assert tokens.truncated.tolist() == [False, True]
    assert tokens.lengths[1] <= max_tokens
    return tokenizer.decode(tokens.ids[tokens.starts[1] :], skip_special_tokens=True).split()


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize(
    ("prompt", "before", "between", "after"),
    [
        ("the dog ", ["the", "dog"], None, []),
        ("the dog {text} sat", ["the", "dog"], None, ["sat"]),
        ("{text} sat", [], None, ["sat"]),
        ("the {text} dog {text} sat", ["the"], ["dog"], ["sat"]),
    ],
)
def test_truncation_shortens_the_text_and_not_the_prompt(
    copy_of, side, prompt, before, between, after
):
    tokenizer = Backbone.from_pretrained(copy_of("bert"), device="cpu").tokenizer
    tokenizer.truncation_side = side
    text = [f"w{i % 20}" for i in range(30)]
    n_special = tokenizer.num_special_tokens_to_add(pair=False)
    for max_tokens in range(9, 20):
        n_kept = max_tokens - n_special - len(before) - len(after) - len(between or [])
        n_kept //= 1 if between is None else 2
        kept = text[:n_kept] if side == "right" else text[-n_kept:]
        want = [*before, *kept, *after]
        if between is not None:
            want = [*before, *kept, *between, *kept, *after]
        assert words_of(tokenizer, " ".join(text), max_tokens, prompt) == want


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", ["bert", "gpt2", "llama"])
def test_a_truncated_text_has_the_same_tokens_in_the_prompt_as_its_string(tiny, side, name):
    """With word pieces and no spaces between, text and prompt share tokens."""
    tokenizer = Backbone.from_pretrained(tiny.folder(name), device="cpu").tokenizer
    tokenizer.truncation_side = side
    text = "".join(np.random.default_rng(0).choice([*"abcthe dog.é", "日", "😀"], size=80))
    parts = [text[:i] if side == "right" else text[i:].lstrip() for i in range(len(text) + 1)]
    for prompt in ("th{text}og", "{text} and {text}e", *(["a{text}"] if side == "left" else [])):
        tokenizer.backend_tokenizer.no_truncation()
        whole = [tokenizer(prompt.replace("{text}", part))["input_ids"] for part in parts]
        for max_tokens in range(16, 28):
            tokens = tokenize(tokenizer, [text, text[3:]], max_tokens, prompt)
            got = tokens.ids[: tokens.starts[1]].tolist()
            assert got == tokenize(tokenizer, [text], max_tokens, prompt).ids.tolist()
            assert any(parts[i] for i, ids in enumerate(whole) if ids == got)
            assert 0 <= max_tokens - len(got) <= (5 if prompt.count("{text}") == 1 else 9)


def test_truncation_never_keeps_a_part_of_a_character(tiny):
    """An emoji has four byte tokens; a cut within it would keep all four, which do not fit."""
    backbone = Backbone.from_pretrained(tiny.folder("gpt2"), device="cpu")
    for n_kept in range(1, 5):
        for n_bytes in range(4):
            max_tokens = 4 * n_kept + n_bytes + len("@@@@")
            tokens = tokenize(backbone.tokenizer, ["😀" * 30], max_tokens, "{text}@@@@")
            want = backbone.tokenizer("😀" * n_kept + "@@@@")["input_ids"]
            assert tokens.ids.tolist() == want


def test_truncation_on_the_left_leaves_no_leading_space(tiny):
    tokenizer = Backbone.from_pretrained(tiny.folder("gpt2"), device="cpu").tokenizer
    tokenizer.truncation_side = "left"
    tokens = tokenize(tokenizer, ["zebra " * 30 + "the cat sat"], 15, "dog: {text}")
    assert tokenizer.decode(tokens.ids).startswith("dog: ")
    assert not tokenizer.decode(tokens.ids).startswith("dog:  ")


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("Review: {Text} It was", "has the placeholder {Text}. Write {text}"),
        ("{ text }", "has the placeholder { text }. Write {text}"),
        ("Review: {} It was", "has the placeholder {}. Write {text}"),
        ("caf\udce9: ", "contains half a surrogate pair"),
        ("caf\udce9: {text} so", "contains half a surrogate pair"),
    ],
)
def test_a_prompt_with_invalid_characters_or_placeholders_is_refused(tiny, prompt, said):
    with pytest.raises(UnknownOptionError, match=re.escape(said)):
        Backbone.from_pretrained(tiny.folder("bert"), prompt=prompt)


@pytest.mark.unchecked  # of a type that no signature allows
@pytest.mark.parametrize("prompt", [None, ["a"], b"a", 3])
def test_a_prompt_that_is_not_a_string_is_refused(tiny, prompt):
    with pytest.raises(UnknownOptionError, match=re.escape(f"prompt={prompt!r}: expected a")):
        Backbone.from_pretrained(tiny.folder("bert"), prompt=prompt)


def test_a_prompt_that_leaves_no_room_for_text_is_refused(tiny):
    for max_tokens, prompt in [
        (4, "the dog "),
        (6, "the dog {text} sat on"),
        (7, "the {text} dog {text} sat on"),
    ]:
        said = f"={max_tokens} leaves no room for text: bert adds . special tokens and those of"
        with pytest.raises(BackboneLoadError, match=said):
            Backbone.from_pretrained(tiny.folder("bert"), prompt=prompt, max_tokens=max_tokens)
        Backbone.from_pretrained(tiny.folder("bert"), prompt=prompt, max_tokens=max_tokens + 1)


@pytest.mark.parametrize("max_tokens", [0, 1, 2])
def test_max_tokens_without_room_for_text_is_refused(tiny, max_tokens):
    with pytest.raises(BackboneLoadError, match=f"max_tokens={max_tokens} leaves no room"):
        Backbone.from_pretrained(tiny.folder("bert"), max_tokens=max_tokens)


def test_each_distinct_text_runs_through_the_model_once(bert, tiny):
    rows = []
    hook = bert.blocks.container[0].register_forward_hook(
        lambda _m, _a, out: rows.append(len(out[0] if isinstance(out, tuple) else out))
    )
    texts = [tiny.texts[i] for i in (3, 0, 3, 1, 0, 3)]
    with hook:
        values = bert.embed(texts).values
    assert sum(rows) == 3
    want = bert.embed(tiny.texts).values[:, [3, 0, 3, 1, 0, 3]]
    np.testing.assert_allclose(values, want, atol=1e-5)


@pytest.mark.parametrize(
    ("device", "width", "want"),
    [
        ("cpu", 32, 1024),
        ("cpu", 384, 1024),
        ("cpu", 576, 682),
        ("cpu", 768, 512),
        ("cpu", 4096, 512),
        ("cuda", 768, 16_384),
    ],
)
def test_token_budget_on_a_cpu_shrinks_with_the_width_of_the_layers(device, width, want):
    assert TokenBudget(device, "it", width).tokens == want


def test_stream_yields_every_text_position_once(bert, tiny, monkeypatch):
    monkeypatch.setattr(bert.budget, "tokens", 40)
    texts = [*tiny.texts, *tiny.texts[::-1], "a"]
    parts = list(bert.stream(texts, bert.refs))
    assert len(parts) > 1
    assert sorted(np.concatenate([p for p, _ in parts]).tolist()) == list(range(len(texts)))
    want = bert.embed(texts).values
    for positions, values in parts:
        np.testing.assert_array_equal(values, want[:, positions])


def test_no_texts_give_an_empty_array(bert):
    assert bert.embed([]).values.shape == (8, 0, 32)  # four layers, two poolings


def test_a_lone_surrogate_is_read_as_the_replacement_character(tiny):
    backbone = Backbone.from_pretrained(tiny.folder("llama"), device="cpu")
    got = backbone.embed(["a \ud800 b", "a \ufffd b", "\ud83d\ude00", "😀"]).values
    np.testing.assert_array_equal(got[:, 0], got[:, 1])
    np.testing.assert_array_equal(got[:, 2], got[:, 3])  # halves of a pair that belong together
    assert np.abs(got[:, 0] - got[:, 2]).max() > 0.01


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        (None, "Drop these rows"),
        (float("nan"), "Drop these rows"),
        (3, "Drop these rows"),
        (b"bytes", "Decode them"),
        (["a", "b"], "join its tokens"),
    ],
)
def test_a_text_that_is_not_a_string_is_refused_with_its_position(bert, value, remedy):
    with pytest.raises(DataError, match=rf"text 1 is .*\. .*{remedy}"):
        bert.embed(["a", value, "b"])


def test_one_string_instead_of_a_sequence_is_refused(bert):
    with pytest.raises(DataError, match="got one string"):
        bert.embed("the cat")


@pytest.mark.parametrize("says", [{"is_fast": False}, {}])  # mistral-common's says nothing
def test_python_tokenizer_is_refused(tiny, monkeypatch, says):
    slow = type("Slow", (), {**says, "model_max_length": 512})()
    monkeypatch.setattr(load.AutoTokenizer, "from_pretrained", lambda *_, **__: slow)
    with pytest.raises(BackboneLoadError, match=r"Rust backend.*got Slow"):
        Backbone.from_pretrained(tiny.folder("bert"), device="cpu")


def test_python_tokenizer_of_a_gguf_file_is_refused(bert, tmp_path, monkeypatch):
    file = tmp_path / "model.gguf"
    file.touch()
    slow = type("Slow", (), {"is_fast": False, "model_max_length": 512})()
    monkeypatch.setattr(load, "load_gguf", lambda *_: (bert.model, slow))
    with pytest.raises(BackboneLoadError, match=r"model.gguf: .*Rust backend.*got Slow"):
        Backbone.from_pretrained(file, device="cpu")
