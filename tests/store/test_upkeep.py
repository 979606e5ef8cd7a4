"""``entries``, ``verify`` and ``prune``: what ``layerfuse cache`` shows and does."""

import dataclasses
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from layerfuse.core.errors import UnknownOptionError
from layerfuse.core.layers import LayerRef
from layerfuse.core.spec import BackboneSpec
from layerfuse.store import EmbeddingStore
from layerfuse.store import writer as writer_module

Values = Callable[[Sequence[LayerRef], Sequence[str]], np.ndarray]
Fill = Callable[..., None]
Shards = Callable[[], list[Path]]

TEXTS = [f"t{i}" for i in range(30)]
DAY = 86400


@pytest.fixture
def other(spec: BackboneSpec) -> BackboneSpec:
    return dataclasses.replace(spec, name="other", weights="sha256:9")


@pytest.fixture
def two(store: EmbeddingStore, other: BackboneSpec, values: Values, fill: Fill) -> EmbeddingStore:
    """Return a store with two entries."""
    fill(TEXTS)
    with store.writer(other, other.refs()) as writer:
        writer.add(["t1"], values(other.refs(), ["t1"]))
    return store


def size(store: EmbeddingStore, spec: BackboneSpec) -> int:
    return sum(path.stat().st_size for path in (store.folder / spec.fingerprint).iterdir())


def names(store: EmbeddingStore) -> set[str | None]:
    return {entry.spec.name if entry.spec else None for entry in store.entries()}


def test_entries_count_distinct_texts(two: EmbeddingStore, spec: BackboneSpec, fill: Fill) -> None:
    fill(TEXTS[:5], refs=spec.refs()[:1])
    entry = next(entry for entry in two.entries() if entry.fingerprint == spec.fingerprint)
    assert entry.spec == spec
    assert (entry.n_texts, entry.n_shards) == (30, 4)
    assert entry.disk_bytes == size(two, spec)
    assert 0 <= entry.idle_seconds < 60
    assert names(two) == {"tiny", "other"}


@pytest.mark.parametrize(
    "broken", [b"", b"{", b"\xff", b"[]", b"{}", b'{"poolings": 3}', b'{"poolings": ["x"]}', None]
)
def test_a_broken_spec_harms_nothing_and_is_restored(
    two: EmbeddingStore, spec: BackboneSpec, fill: Fill, broken: bytes | None
) -> None:
    path = two.folder / spec.fingerprint / "spec.json"
    if broken is None:
        path.unlink()
    else:
        path.write_bytes(broken)
    assert names(two) == {None, "other"}
    (line,) = two.verify()
    assert str(path) in line
    assert two.missing(spec, spec.refs(), TEXTS) == []
    fill(["t99"])
    assert names(two) == {"tiny", "other"}
    assert two.verify() == []


def test_a_spec_of_another_entry_is_broken(
    two: EmbeddingStore, spec: BackboneSpec, other: BackboneSpec
) -> None:
    folder = two.folder / spec.fingerprint
    (folder / "spec.json").write_bytes((two.folder / other.fingerprint / "spec.json").read_bytes())
    assert names(two) == {None, "other"}


def test_what_is_not_ours_is_neither_listed_nor_removed(
    two: EmbeddingStore, spec: BackboneSpec
) -> None:
    notes = two.folder / spec.fingerprint / "notes.txt"
    notes.write_text("mine")
    (two.folder / "my models").mkdir()
    assert len(two.entries()) == 2
    two.prune(everything=True)
    assert notes.read_text() == "mine"
    assert (two.folder / "my models").is_dir()


def test_verify_names_damage_and_sets_it_aside(
    two: EmbeddingStore, spec: BackboneSpec, shards: Shards
) -> None:
    assert two.verify() == []
    victim = shards()[0]
    data = bytearray(victim.read_bytes())
    data[-200] ^= 1
    victim.write_bytes(data)
    (line,) = two.verify()
    assert str(victim) in line
    assert two.verify() == []
    assert len(two.missing(spec, spec.refs(), TEXTS)) == 10
    assert two.prune() == len(data)
    assert two.prune() == 0


@pytest.mark.parametrize("by", ["name", "fingerprint"])
def test_prune_by_name(two: EmbeddingStore, spec: BackboneSpec, by: str) -> None:
    before = size(two, spec)
    assert two.prune([getattr(spec, by)] if by == "fingerprint" else ["tiny"]) == before
    assert names(two) == {"other"}
    assert two.missing(spec, spec.refs(), TEXTS) == list(range(30))


def test_prune_of_an_unknown_name_removes_nothing(two: EmbeddingStore) -> None:
    with pytest.raises(UnknownOptionError, match="Did you mean 'other'"):
        two.prune(["tiny", "othre"])
    assert names(two) == {"tiny", "other"}


def test_prune_of_no_names_removes_no_entry(two: EmbeddingStore) -> None:
    assert two.prune([]) == 0
    assert names(two) == {"tiny", "other"}


def test_prune_by_age_spares_what_is_read(
    two: EmbeddingStore, spec: BackboneSpec, other: BackboneSpec
) -> None:
    two.entries()
    for each in (spec, other):
        folder = two.folder / each.fingerprint
        long_ago = folder.stat().st_mtime - 40 * DAY
        os.utime(folder, (long_ago, long_ago))
    assert two.prune(older_than_days=41.0) == 0
    two.read(spec, spec.refs(), TEXTS)
    assert two.prune(["tiny"], older_than_days=30.0) == 0
    assert two.prune(older_than_days=30.0) > 0
    assert names(two) == {"tiny"}


def test_prune_everything(two: EmbeddingStore, spec: BackboneSpec, other: BackboneSpec) -> None:
    before = size(two, spec) + size(two, other)
    assert two.prune(everything=True) == before
    assert list(two.folder.iterdir()) == []
    assert two.entries() == []


def test_prune_leaves_a_file_that_is_being_written(two: EmbeddingStore, spec: BackboneSpec) -> None:
    temporary = two.folder / spec.fingerprint / "00ff.tmp"
    temporary.write_bytes(b"half a shard")
    two.prune(["tiny"])
    assert [path.name for path in temporary.parent.iterdir()] == ["00ff.tmp"]
    os.utime(temporary, (0, 0))
    assert two.prune([spec.fingerprint]) == 12
    assert not temporary.parent.exists()


def test_a_folder_that_a_writer_has_just_made_is_left_to_it(
    two: EmbeddingStore, spec: BackboneSpec
) -> None:
    two.prune(everything=True)
    folder = two.folder / spec.fingerprint
    folder.mkdir()
    two.prune(everything=True)
    assert folder.exists()
    os.utime(folder, (0, 0))
    two.prune(everything=True)
    assert not folder.exists()


@pytest.mark.parametrize("moment", ["write_shard", "fsync"])
def test_a_prune_in_the_middle_of_a_write_loses_nothing_of_it(
    two: EmbeddingStore,
    spec: BackboneSpec,
    values: Values,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    place = (writer_module, moment) if moment == "write_shard" else (os, moment)
    real = getattr(*place)

    def pruned(*arguments: object) -> None:
        monkeypatch.undo()  # later calls are of files that are complete
        EmbeddingStore(two.folder).prune(everything=True)
        real(*arguments)

    refs = spec.refs()
    with two.writer(spec, refs) as writer:
        writer.add(TEXTS, values(refs, TEXTS))
        monkeypatch.setattr(*place, pruned)
    assert two.missing(spec, refs, TEXTS) == []
    assert names(two) == {"tiny"}


def test_a_writer_beside_prune_without_end_never_fails(
    store: EmbeddingStore, spec: BackboneSpec, values: Values
) -> None:
    refs, done = spec.refs(), threading.Event()

    def prune() -> None:
        while not done.is_set():
            EmbeddingStore(store.folder).prune(everything=True)

    pruner = threading.Thread(target=prune)
    pruner.start()
    try:
        with store.writer(spec, refs, shard_texts=1) as writer:
            writer.add(TEXTS, values(refs, TEXTS))
    finally:
        done.set()
        pruner.join()


def test_a_writer_at_work_survives_prune(
    two: EmbeddingStore, spec: BackboneSpec, values: Values
) -> None:
    refs = spec.refs()
    with two.writer(spec, refs, shard_texts=5) as writer:
        writer.add(TEXTS[:5], values(refs, TEXTS[:5]))
        two.prune(everything=True)
        writer.add(TEXTS[5:], values(refs, TEXTS[5:]))
    assert two.missing(spec, refs, TEXTS) == [0, 1, 2, 3, 4]
    assert names(two) == {"tiny"}
