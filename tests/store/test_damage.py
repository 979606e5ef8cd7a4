"""A damaged shard is detected, named in one warning, and its texts count as missing."""

import json
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from layerfuse.core.errors import StoreError
from layerfuse.core.layers import LayerRef
from layerfuse.core.spec import BackboneSpec
from layerfuse.store import EmbeddingStore
from layerfuse.store.shards import ShardDamagedError, open_shard

Values = Callable[[Sequence[LayerRef], Sequence[str]], np.ndarray]
Fill = Callable[..., None]
Shards = Callable[[], list[Path]]

TEXTS = [f"t{i}" for i in range(30)]


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def regions(path: Path) -> dict[str, int]:
    """One offset within each part of the file."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    fields = json.loads(data[8:start])
    metadata = fields.pop("__metadata__")
    tensors = {name: start + field["data_offsets"][0] for name, field in fields.items()}
    return {
        "length, low byte": 0,
        "length, high byte": 7,
        "header": 8,
        "checksum": data.index(metadata["1:mean"].encode()),
        "offsets": data.index(b"data_offsets") + 15,
        "header's end": start - 1,
        "first tensor": start,
        "row": tensors["3:last"] + 5,
        "digest": tensors["digest"],
        "last byte": len(data) - 1,
    }


REGIONS = [
    "length, low byte",
    "length, high byte",
    "header",
    "checksum",
    "offsets",
    "header's end",
    "first tensor",
    "row",
    "digest",
    "last byte",
]


def absent_after_reading(store: EmbeddingStore, spec: BackboneSpec) -> list[int]:
    """Call missing, read and missing again, as an extraction does."""
    absent = store.missing(spec, spec.refs(), TEXTS)
    if not absent:
        with pytest.raises(StoreError, match="10 of them lack"):
            store.read(spec, spec.refs(), TEXTS)
        absent = store.missing(spec, spec.refs(), TEXTS)
    return absent


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("moment", ["fresh", "opened before"])
def test_a_flipped_byte_costs_one_shard_once(
    store: EmbeddingStore,
    spec: BackboneSpec,
    values: Values,
    fill: Fill,
    shards: Shards,
    region: str,
    moment: str,
) -> None:
    fill(TEXTS)
    victim = shards()[1]
    if moment == "opened before" and region in {
        "first tensor",
        "row",
    }:  # the rest is in memory by then
        store.missing(spec, spec.refs(), TEXTS)
    flip(victim, regions(victim)[region])
    with pytest.warns(UserWarning, match=victim.name) as caught:
        absent = absent_after_reading(store, spec)
    assert len(caught) == 1
    assert len(absent) == 10
    assert not victim.exists()
    lost = [TEXTS[i] for i in absent]
    kept = [text for text in TEXTS if text not in lost]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # reported once, also to other readers
        for reader in (store, EmbeddingStore(store.folder)):
            np.testing.assert_array_equal(
                reader.read(spec, spec.refs(), kept), values(spec.refs(), kept)
            )
        fill(lost)
        np.testing.assert_array_equal(
            store.read(spec, spec.refs(), TEXTS), values(spec.refs(), TEXTS)
        )


def test_every_single_byte_is_guarded(fill: Fill, shards: Shards) -> None:
    fill(TEXTS[:2])
    (shard,) = shards()
    open_shard(shard).verify()
    for offset in range(shard.stat().st_size):
        flip(shard, offset)
        with pytest.raises(ShardDamagedError, match=shard.name):
            open_shard(shard).verify()
        flip(shard, offset)
    open_shard(shard).verify()


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 500, -1])
def test_a_truncated_file_costs_one_shard(
    store: EmbeddingStore, spec: BackboneSpec, fill: Fill, shards: Shards, size: int
) -> None:
    fill(TEXTS)
    victim = shards()[0]
    os.truncate(victim, size if size >= 0 else victim.stat().st_size + size)
    with pytest.warns(UserWarning, match=victim.name):
        assert len(store.missing(spec, spec.refs(), TEXTS)) == 10


def test_a_file_cut_short_after_it_was_opened(
    store: EmbeddingStore, spec: BackboneSpec, fill: Fill, shards: Shards
) -> None:
    fill(TEXTS)
    store.missing(spec, spec.refs(), TEXTS)
    os.truncate(shards()[0], shards()[0].stat().st_size // 2)
    with pytest.warns(UserWarning, match="checksum"):
        assert len(absent_after_reading(store, spec)) == 10


def test_bytes_appended_are_damage(
    store: EmbeddingStore, spec: BackboneSpec, fill: Fill, shards: Shards
) -> None:
    fill(TEXTS)
    with shards()[0].open("ab") as file:
        file.write(b"x")
    with pytest.warns(UserWarning, match="expected .* bytes"):
        assert len(store.missing(spec, spec.refs(), TEXTS)) == 10


def test_a_sound_copy_in_another_shard_is_used(
    store: EmbeddingStore, spec: BackboneSpec, values: Values, fill: Fill, shards: Shards
) -> None:
    fill(TEXTS, shard_texts=30)
    fill(TEXTS, shard_texts=30)
    for victim in shards():
        backup = victim.read_bytes()
        flip(victim, regions(victim)["row"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # either may be asked first
            read = EmbeddingStore(store.folder).read(spec, spec.refs(), TEXTS)
        np.testing.assert_array_equal(read, values(spec.refs(), TEXTS))
        victim.write_bytes(backup)


def test_damage_in_two_shards_is_told_in_one_read(
    store: EmbeddingStore, spec: BackboneSpec, fill: Fill, shards: Shards
) -> None:
    fill(TEXTS)
    for victim in shards()[:2]:
        flip(victim, regions(victim)["row"])
    with (
        pytest.warns(UserWarning, match="checksum") as caught,
        pytest.raises(StoreError, match="20 of them"),
    ):
        store.read(spec, spec.refs(), TEXTS)
    assert len(caught) == 2


def test_a_store_that_cannot_be_mended_still_warns_only_once(
    store: EmbeddingStore,
    spec: BackboneSpec,
    fill: Fill,
    shards: Shards,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(TEXTS)
    flip(shards()[0], 0)
    monkeypatch.setattr("layerfuse.store.index.set_aside", lambda _: None)  # read-only folder
    with pytest.warns(UserWarning, match="damaged"):
        assert len(store.missing(spec, spec.refs(), TEXTS)) == 10
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(store.missing(spec, spec.refs(), TEXTS)) == 10


def test_a_shard_pruned_by_another_process_is_missing_not_damaged(
    store: EmbeddingStore, spec: BackboneSpec, fill: Fill, shards: Shards
) -> None:
    fill(TEXTS)
    store.missing(spec, spec.refs(), TEXTS)
    victim = shards()[0]
    victim.unlink()
    victim.symlink_to(victim.with_name("nowhere"))  # listed, yet gone: as on a slow network disk
    with pytest.raises(StoreError, match="10 of them lack"):
        store.read(spec, spec.refs(), TEXTS)
    assert len(store.missing(spec, spec.refs(), TEXTS)) == 10


def test_a_disk_that_refuses_is_no_damage(
    store: EmbeddingStore, spec: BackboneSpec, fill: Fill, shards: Shards
) -> None:
    fill(TEXTS)
    victim = shards()[0]
    victim.unlink()
    victim.mkdir()
    with pytest.raises(StoreError, match=r"Could not read .*Is a directory"):
        store.missing(spec, spec.refs(), TEXTS)
    assert victim.exists()
