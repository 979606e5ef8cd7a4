"""Every text is embedded once, whatever happens in between."""

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from layerfuse import Backbone, EmbeddingStore
from layerfuse.core.errors import BackboneChangedError, ShapeError, StoreError
from layerfuse.extract import embed_to_store, store_at

TEXTS = [f"calm{i % 8} word{i % 12} loud{i % 5}" for i in range(40)]


@pytest.fixture(scope="module")
def backbone(tiny_decoder) -> Backbone:
    return Backbone.from_pretrained(tiny_decoder, device="cpu")


@pytest.fixture
def store(tmp_path) -> EmbeddingStore:
    return EmbeddingStore(tmp_path / "store")


@pytest.fixture
def embedded(monkeypatch) -> list[str]:
    """Collect the texts that go through the model."""
    seen: list[str] = []
    stream = Backbone.stream

    def counted(self, texts, refs, **options):
        for positions, values in stream(self, texts, refs, **options):
            seen.extend(texts[i] for i in positions)
            yield positions, values

    monkeypatch.setattr(Backbone, "stream", counted)
    return seen


def flip_byte(shard: Path, *, of_digests: bool = False) -> None:
    """Damage the numbers of a layer, or the digests of the texts, which lie last."""
    data = bytearray(shard.read_bytes())
    header = 8 + int.from_bytes(data[:8], "little")
    data[-1 if of_digests else header + 200] ^= 1
    shard.write_bytes(data)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_rows_are_those_of_the_backbone(backbone, store):
    stored = embed_to_store(backbone, TEXTS, store, progress=False)
    plain = backbone.embed(TEXTS, progress=False)

    assert (stored.backbone, stored.n_texts) == ("decoder", 40)
    assert stored.refs == plain.refs
    for ref in plain.refs:
        assert np.array_equal(stored.row(ref), plain.row(ref))
    some = stored.refs[5], stored.refs[2]
    assert stored.read(some).refs == some
    assert np.array_equal(stored.read(some).values[1], plain.row(some[1]))


def test_only_missing_texts_are_embedded(backbone, store, embedded):
    embed_to_store(backbone, TEXTS[:25], store, progress=False)
    assert sorted(embedded) == sorted(TEXTS[:25])
    embedded.clear()
    stored = embed_to_store(backbone, [*TEXTS[20:], *TEXTS[:3]], store, progress=False)

    assert sorted(embedded) == sorted(TEXTS[25:])
    expected = backbone.embed([*TEXTS[20:], *TEXTS[:3]], [3], progress=False).values
    np.testing.assert_allclose(stored.read(stored.refs[-2:]).values, expected, atol=1e-5)


def test_a_text_that_stands_many_times_is_embedded_once(backbone, store, embedded):
    texts = [TEXTS[0], TEXTS[1], TEXTS[0], TEXTS[0], ""]
    stored = embed_to_store(backbone, texts, store, progress=False)
    matrix = stored.row(stored.refs[-1])

    assert sorted(embedded) == sorted(set(texts))
    assert matrix.shape == (5, 32)
    assert np.array_equal(matrix[0], matrix[2])
    assert np.array_equal(matrix[0], matrix[3])
    assert not np.allclose(matrix[0], matrix[1])


@pytest.mark.unchecked
def test_some_texts_are_taken_by_position_and_not_by_a_mask(backbone, store):
    """A mask would take the rows of one set of texts, and the first two texts."""
    stored = embed_to_store(backbone, TEXTS[:4], store, progress=False)
    part = stored.take([3, 1])
    assert list(part.texts) == [TEXTS[3], TEXTS[1]]
    ref = backbone.refs[-1]
    np.testing.assert_array_equal(part.row(ref), stored.row(ref)[[3, 1]])
    with pytest.raises(ShapeError, match="flatnonzero gives those of a mask"):
        stored.take(np.array([True, False, False, True]))


def test_nothing_to_do_touches_nothing(backbone, store, embedded, tmp_path):
    embed_to_store(backbone, TEXTS, store, progress=False)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    embedded.clear()
    assert embed_to_store(backbone, TEXTS, store, progress=False).fill() == 0

    assert embedded == []
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")} == files


@pytest.mark.parametrize("reader", ["the same store", "a new store"])
def test_damage_found_while_reading_is_embedded_again(backbone, tmp_path, embedded, reader):
    store = EmbeddingStore(tmp_path)
    embed_to_store(backbone, TEXTS[:15], store, progress=False)
    (first,) = tmp_path.rglob("*.safetensors")
    stored = embed_to_store(backbone, TEXTS, store, progress=False)
    expected = stored.read(stored.refs).values
    flip_byte(first)
    embedded.clear()
    if reader == "a new store":
        stored = embed_to_store(backbone, TEXTS, EmbeddingStore(tmp_path), progress=False)
    with pytest.warns(UserWarning, match=first.name):
        values = stored.read(stored.refs).values

    assert sorted(embedded) == sorted(TEXTS[:15])
    np.testing.assert_allclose(values, expected, atol=1e-5)
    assert not first.exists()


def test_damage_found_while_looking_is_embedded_again(backbone, tmp_path, embedded):
    embed_to_store(backbone, TEXTS, EmbeddingStore(tmp_path), progress=False)
    (shard,) = tmp_path.rglob("*.safetensors")
    flip_byte(shard, of_digests=True)
    embedded.clear()
    with pytest.warns(UserWarning, match=shard.name):
        stored = embed_to_store(backbone, TEXTS, EmbeddingStore(tmp_path), progress=False)

    assert sorted(embedded) == sorted(TEXTS)
    assert stored.read(stored.refs).values.shape == (8, 40, 32)


def test_what_was_pruned_meanwhile_is_embedded_again(backbone, store, embedded):
    stored = embed_to_store(backbone, TEXTS, store, progress=False)
    expected = stored.row(stored.refs[3])
    EmbeddingStore(store.folder).prune(everything=True)
    embedded.clear()

    assert np.array_equal(stored.row(stored.refs[3]), expected)
    assert sorted(embedded) == sorted(TEXTS)


def test_a_disk_that_refuses_is_one_error(backbone, tmp_path):
    (tmp_path / "file").write_text("x")

    with pytest.raises(StoreError, match="file"):
        embed_to_store(backbone, TEXTS, EmbeddingStore(tmp_path / "file"), progress=False)
    assert names(tmp_path) == ["file"]


def test_an_interrupt_keeps_what_was_done(backbone, store, embedded, monkeypatch):
    stream = Backbone.stream

    def interrupted(self, texts, refs, **options):
        for number, batch in enumerate(stream(self, texts, refs, **options)):
            if number == 2:
                raise KeyboardInterrupt
            yield batch

    monkeypatch.setattr(backbone.budget, "tokens", 50)
    with monkeypatch.context() as patch:
        patch.setattr(Backbone, "stream", interrupted)
        with pytest.raises(KeyboardInterrupt):
            embed_to_store(backbone, TEXTS, store, progress=False)
    done = sorted(embedded)[:]
    embedded.clear()
    embed_to_store(backbone, TEXTS, store, progress=False)

    assert 0 < len(embedded) < len(TEXTS)
    kept = [text for text in TEXTS if text not in embedded]
    assert set(kept) < set(done)
    assert len(kept) >= len(done) - 30


def test_without_a_cache_nothing_is_left(backbone, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with store_at(None) as store:
        embed_to_store(backbone, TEXTS, store, progress=False)
        assert list(tmp_path.rglob("*.safetensors"))
    assert names(tmp_path) == []

    def interrupted():
        with store_at(None) as store:
            embed_to_store(backbone, TEXTS, store, progress=False)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(tmp_path) == []


def test_where_embeddings_are_kept(tmp_path, cache_folder, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with store_at("default") as user, store_at(tmp_path / "own") as own, store_at("~/home") as home:
        assert user.folder == cache_folder / "embeddings"
        assert own.folder == tmp_path / "own"
        assert home.folder == tmp_path / "home"
    assert names(tmp_path) == []


KILLED = """
import sys, time
from layerfuse import Backbone, EmbeddingStore
from layerfuse.extract import embed_to_store

model, folder = sys.argv[1:]
writer = EmbeddingStore.writer
EmbeddingStore.writer = lambda self, spec, refs: writer(self, spec, refs, shard_texts=5)
stream = Backbone.stream
def slow(self, texts, refs, **options):
    for batch in stream(self, texts, refs, **options):
        yield batch
        time.sleep(0.05)
Backbone.stream = slow
backbone = Backbone.from_pretrained(model, device="cpu")
backbone.budget.tokens = 10
texts = [f"calm{i % 8} word{i % 12} loud{i % 5}" for i in range(40)]
embed_to_store(backbone, texts, EmbeddingStore(folder), progress=False)
"""


def test_after_a_kill_only_the_rest_is_embedded(
    backbone, tiny_decoder, tmp_path, embedded, subprocess_environment
):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, tiny_decoder, tmp_path],
        env=subprocess_environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 300
        while len(list(tmp_path.rglob("*.safetensors"))) < 3 and time.monotonic() < deadline:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    n_kept = 5 * len(list(tmp_path.rglob("*.safetensors")))
    stored = embed_to_store(backbone, TEXTS, EmbeddingStore(tmp_path), progress=False)

    assert 15 <= n_kept < 40
    assert len(embedded) == len(set(embedded)) == 40 - n_kept
    expected = backbone.embed(TEXTS, progress=False).values
    np.testing.assert_allclose(stored.read(stored.refs).values, expected, atol=1e-5)


def test_a_changed_tokenizer_is_not_given_what_the_store_holds(new_encoder, store):
    backbone = Backbone.from_pretrained(new_encoder(), device="cpu")
    embed_to_store(backbone, TEXTS, store, progress=False)
    backbone.tokenizer.truncation_side = "left"
    with pytest.raises(BackboneChangedError, match="truncation_side"):
        embed_to_store(backbone, TEXTS, store, progress=False)
