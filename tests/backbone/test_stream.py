"""Streams of texts: windows of an infinite corpus, and too little memory."""

import itertools
import tracemalloc
import warnings

import numpy as np
import pytest
import torch

from layerfuse import Backbone
from layerfuse.backbone import embed
from layerfuse.backbone.tap import LayerTap
from layerfuse.core.errors import DataError, LayerFuseError, OutOfMemoryError

WORDS = ["DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes."]


@pytest.fixture
def bert(tiny):
    return Backbone.from_pretrained(tiny.folder("bert"), device="cpu")


@pytest.fixture
def small_windows(monkeypatch):
    monkeypatch.setattr(embed, "WINDOW_TEXTS", 4)


@pytest.fixture
def little_memory(monkeypatch):
    """Make batches above a number of tokens fail as in torch, and record those that ran."""

    def limit(n_tokens, error=None):
        error = error or RuntimeError(WORDS[0])
        run, shapes = LayerTap.run, []

        def limited(self, model, ids, mask):
            if ids.numel() > n_tokens:
                raise error
            shapes.append(tuple(ids.shape))
            return run(self, model, ids, mask)

        monkeypatch.setattr(LayerTap, "run", limited)
        return shapes

    return limit


@pytest.mark.usefixtures("small_windows")
def test_embeddings_do_not_depend_on_the_windows(bert, tiny, monkeypatch):
    texts = [*tiny.texts, *tiny.texts[::-1], "a"]
    parts = list(bert.stream(iter(texts), bert.refs))
    positions = np.concatenate([p for p, _ in parts])
    assert sorted(positions.tolist()) == list(range(len(texts)))
    monkeypatch.undo()
    want = bert.embed(texts).values[:, positions]
    np.testing.assert_allclose(np.concatenate([v for _, v in parts], axis=1), want, atol=1e-5)


@pytest.mark.usefixtures("small_windows")
def test_truncated_texts_of_all_windows_are_counted_in_one_warning(tiny):
    backbone = Backbone.from_pretrained(tiny.folder("bert"), max_tokens=5, device="cpu")
    texts = ["the cat sat on the mat", "a", "b", "c", "the dog sat on the mat", "a"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        backbone.embed(texts)
    (warning,) = caught
    assert str(warning.message).startswith("bert: 2 of 6 texts are longer")


@pytest.mark.unchecked
@pytest.mark.usefixtures("small_windows")
def test_an_invalid_text_is_refused_with_its_position_in_the_whole_corpus(bert):
    with pytest.raises(DataError, match="text 6 is None"):
        bert.embed(["a", "b", "c", "d", "e", "f", None])


@pytest.mark.usefixtures("small_windows")
def test_an_endless_corpus_is_read_one_window_at_a_time(bert):
    endless = (f"text {i}" for i in itertools.count())
    taken = itertools.islice(bert.stream(endless, bert.refs), 3)
    assert sum(len(positions) for positions, _ in taken) <= 12


@pytest.mark.slow
def test_memory_does_not_grow_with_the_corpus(tiny, monkeypatch):
    """The peak of Python's own allocations is compared with that for four times the texts."""
    monkeypatch.setattr(embed, "WINDOW_TEXTS", 512)
    backbone = Backbone.from_pretrained(tiny.folder("bert"), device="cpu")
    peaks = []
    for n_texts in (1024, 4096):
        texts = (f"w{i % 17} w{i % 13} w{i}" for i in range(n_texts))
        tracemalloc.start()
        for _ in backbone.stream(texts, backbone.refs[-1:], progress=False):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


@pytest.mark.parametrize(
    "error", [RuntimeError(WORDS[0]), torch.OutOfMemoryError("CUDA out of memory."), MemoryError()]
)
def test_too_little_memory_halves_the_batches_with_one_warning(bert, tiny, little_memory, error):
    want = bert.embed(tiny.texts).values
    shapes = little_memory(40, error)
    with pytest.warns(
        UserWarning, match=r"bert: memory does not suffice for .* continuing"
    ) as told:
        got = bert.embed(tiny.texts).values
    assert len(told) == 1
    assert max(n * length for n, length in shapes) <= 40
    assert any(n > 1 for n, _ in shapes)
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_too_little_memory_for_one_text_is_an_error(bert, little_memory):
    little_memory(3)
    with pytest.raises(OutOfMemoryError, match=r"one text of 8 tokens.*max_tokens") as caught:
        bert.embed(["the cat sat on the mat"])
    assert isinstance(caught.value, LayerFuseError)
    assert isinstance(caught.value.__context__, RuntimeError)


def test_errors_other_than_lack_of_memory_are_not_caught(bert, little_memory):
    little_memory(3, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        bert.embed(["the cat sat on the mat"])


def test_a_text_of_a_million_characters_is_truncated(bert):
    words = "the cat sat on "
    with pytest.warns(UserWarning, match="1 of 1 texts are longer"):
        values = bert.embed([words * (1_000_000 // len(words))]).values
    assert np.isfinite(values).all()
