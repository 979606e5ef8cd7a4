"""What is written comes back: any order, any rows, any number of shards."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from safetensors.numpy import load_file

from layerfuse.core.errors import LayerError, ShapeError, StoreError
from layerfuse.core.layers import LayerRef
from layerfuse.core.spec import BackboneSpec
from layerfuse.store import EmbeddingStore, text_digest
from layerfuse.store.digests import DigestLookup
from layerfuse.store.shards import Shard

Values = Callable[[Sequence[LayerRef], Sequence[str]], np.ndarray]
Fill = Callable[..., None]
Shards = Callable[[], list[Path]]

TEXTS = [f"t{i}" for i in range(25)]


def test_constructor_and_questions_touch_no_disk(store: EmbeddingStore, spec: BackboneSpec) -> None:
    assert store.missing(spec, spec.refs(), ["t1", "t2"]) == [0, 1]
    assert store.entries() == []
    assert store.verify() == []
    assert store.prune(everything=True) == 0
    assert not store.folder.exists()


def test_any_order_with_duplicates_over_several_shards(
    store: EmbeddingStore, spec: BackboneSpec, values: Values, fill: Fill, shards: Shards
) -> None:
    fill(TEXTS)
    assert len(shards()) == 3
    asked = [*reversed(TEXTS), "t3", "t3", "t24"]
    refs = spec.refs()
    for reader in (store, EmbeddingStore(store.folder)):
        assert reader.missing(spec, refs, asked) == []
        read = reader.read(spec, refs, asked)
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, values(refs, asked))


def test_values_do_not_depend_on_how_texts_were_batched(
    store: EmbeddingStore, spec: BackboneSpec, values: Values, shards: Shards
) -> None:
    refs = spec.refs()
    with store.writer(spec, refs, shard_texts=4) as writer:
        for start, stop in [(0, 1), (1, 3), (3, 14), (14, 14), (14, 25)]:
            writer.add(TEXTS[start:stop], values(refs, TEXTS[start:stop]))
    assert len(shards()) == 7
    np.testing.assert_array_equal(store.read(spec, refs, TEXTS), values(refs, TEXTS))


def test_subset_of_rows_in_another_order(
    store: EmbeddingStore, spec: BackboneSpec, values: Values, fill: Fill
) -> None:
    fill(TEXTS)
    refs = [spec.refs()[i] for i in (5, 0, 2)]
    np.testing.assert_array_equal(store.read(spec, refs, TEXTS), values(refs, TEXTS))


def test_rows_of_one_text_from_shards_with_different_rows(
    store: EmbeddingStore, spec: BackboneSpec, values: Values, fill: Fill
) -> None:
    lower, upper = spec.refs()[:5], spec.refs()[3:]
    fill(TEXTS[:20], refs=lower)
    fill(TEXTS[10:], refs=upper)
    assert store.missing(spec, lower, TEXTS) == list(range(20, 25))
    assert store.missing(spec, upper, TEXTS) == list(range(10))
    assert store.missing(spec, spec.refs(), TEXTS) == [*range(10), *range(20, 25)]
    both = TEXTS[10:20]
    np.testing.assert_array_equal(store.read(spec, spec.refs(), both), values(spec.refs(), both))
    shared = spec.refs()[3:5]
    np.testing.assert_array_equal(store.read(spec, shared, TEXTS), values(shared, TEXTS))


def test_missing_names_the_first_of_duplicates_in_order(
    store: EmbeddingStore, spec: BackboneSpec, fill: Fill
) -> None:
    fill(["t1"])
    assert store.missing(spec, spec.refs(), ["t9", "t1", "t5", "t9", "t5"]) == [0, 2]
    assert store.missing(spec, spec.refs(), []) == []


def test_a_reader_sees_what_another_store_writes_later(
    store: EmbeddingStore, spec: BackboneSpec, fill: Fill
) -> None:
    fill(["t1"])
    reader = EmbeddingStore(store.folder)
    assert reader.missing(spec, spec.refs(), ["t1", "t2"]) == [1]
    fill(["t2"])
    assert reader.missing(spec, spec.refs(), ["t1", "t2"]) == []


def test_digests_serve_instead_of_texts(
    store: EmbeddingStore, spec: BackboneSpec, values: Values
) -> None:
    refs = spec.refs()
    digests = np.frombuffer(b"".join(map(text_digest, TEXTS)), "V16")
    with store.writer(spec, refs) as writer:
        writer.add(digests, values(refs, TEXTS))
    assert store.missing(spec, refs, digests) == []
    np.testing.assert_array_equal(store.read(spec, refs, TEXTS), values(refs, TEXTS))


def test_odd_texts_are_distinct_keys(
    store: EmbeddingStore, spec: BackboneSpec, values: Values
) -> None:
    odd = ["", " ", "\0", "\ud800", "\udc80", "é", "e\u0301", "x" * 100_000]
    assert len({text_digest(text) for text in odd}) == len(odd)
    numbered = TEXTS[: len(odd)]
    with store.writer(spec, spec.refs()) as writer:
        writer.add(odd, values(spec.refs(), numbered))
    np.testing.assert_array_equal(store.read(spec, spec.refs(), odd), values(spec.refs(), numbered))


@pytest.mark.parametrize("ending", [b"\0", b"\0\0\0\0", b" ", b"\n"])
def test_a_digest_may_end_in_any_byte(
    store: EmbeddingStore, spec: BackboneSpec, values: Values, ending: bytes
) -> None:
    refs = spec.refs()
    raw = [bytes([i + 1]) * (16 - len(ending)) + ending for i in range(3)] + [bytes(16)]
    digests = np.frombuffer(b"".join(raw), "S16")
    with store.writer(spec, refs) as writer:
        writer.add(digests, values(refs, TEXTS[:4]))
    assert store.missing(spec, refs, digests) == []
    np.testing.assert_array_equal(store.read(spec, refs, digests[::-1]), values(refs, TEXTS[3::-1]))


@pytest.mark.parametrize(
    "change",
    [
        {"poolings": ("mean",)},
        {"poolings": ("last", "mean")},
        {"weights": "sha256:9"},
        {"tokenizer": "sha256:9"},
        {"dtype": "bfloat16"},
        {"max_tokens": 65},
        {"prompt": "query: "},
        {"skip_first_token": True},
        {"extraction_version": 99},
    ],
    ids=str,
)
def test_whatever_changes_the_numbers_never_hits_the_old_entry(
    store: EmbeddingStore, spec: BackboneSpec, fill: Fill, change: dict[str, Any]
) -> None:
    fill(TEXTS)
    other = dataclasses.replace(spec, **change)
    assert store.missing(other, other.refs(), TEXTS) == list(range(25))
    with pytest.raises(StoreError, match="25 of them lack layer 0:"):
        store.read(other, other.refs(), TEXTS)


def test_another_name_for_the_same_backbone_hits(
    store: EmbeddingStore, spec: BackboneSpec, fill: Fill
) -> None:
    fill(TEXTS)
    alias = dataclasses.replace(spec, name="other-name")
    assert store.missing(alias, alias.refs(), TEXTS) == []


def test_reading_an_absent_text_says_which_and_what_to_do(
    store: EmbeddingStore, spec: BackboneSpec, fill: Fill
) -> None:
    fill(TEXTS)
    with pytest.raises(StoreError, match=r"2 of them lack.*position 1.*missing\(\)"):
        store.read(spec, spec.refs(), ["t1", "t99", "t2", "t98"])


def test_only_wanted_layers_are_read(
    store: EmbeddingStore, spec: BackboneSpec, values: Values, fill: Fill, shards: Shards
) -> None:
    fill(TEXTS, shard_texts=25)
    wanted, damaged = spec.refs()[:1], "3:last"
    path = shards()[0]
    matrix = load_file(path)[damaged].tobytes()
    path.write_bytes(path.read_bytes().replace(matrix, bytes(len(matrix))))
    # No warning (they are errors here): the damaged layer was neither read nor checked.
    np.testing.assert_array_equal(store.read(spec, wanted, TEXTS), values(wanted, TEXTS))


def test_a_shard_is_plain_safetensors(fill: Fill, shards: Shards) -> None:
    fill(TEXTS)
    tensors = load_file(shards()[0])
    assert tensors["0:mean"].dtype == np.float32
    assert tensors["digest"].shape == (len(tensors["0:mean"]), 16)
    assert sorted(tensors)[:3] == ["0:last", "0:mean", "1:last"]


def test_shards_are_bounded_in_bytes(
    store: EmbeddingStore, spec: BackboneSpec, values: Values, shards: Shards
) -> None:
    refs = spec.refs()
    text_bytes = len(refs) * spec.hidden_size * 4
    with store.writer(spec, refs, shard_bytes=5 * text_bytes + 1) as writer:
        writer.add(TEXTS, values(refs, TEXTS))
        assert len(shards()) == 5  # streamed, not kept to the end
    with store.writer(spec, refs, shard_bytes=1) as writer:  # one text at least
        writer.add(["t90", "t91"], values(refs, ["t90", "t91"]))
    assert len(shards()) == 7


def test_bytes_on_disk_are_those_of_the_files_by_the_share_of_their_texts(
    store: EmbeddingStore, spec: BackboneSpec, fill: Fill, shards: Shards
) -> None:
    assert store.disk_bytes(spec, TEXTS) == 0
    fill(TEXTS)
    sizes = [path.stat().st_size for path in shards()]
    assert len(sizes) == 3
    assert store.disk_bytes(spec, [*TEXTS, "t3", "never seen"]) == sum(sizes)
    assert store.disk_bytes(spec, ["never seen"]) == 0
    halves = [store.disk_bytes(spec, part) for part in (TEXTS[::2], TEXTS[1::2])]
    assert sum(halves) == pytest.approx(sum(sizes), abs=1)
    values = 4 * len(spec.refs()) * spec.hidden_size
    assert store.disk_bytes(spec, ["t3"]) > values
    shards()[0].unlink()
    assert store.disk_bytes(spec, TEXTS) < sum(sizes)


def test_wrong_layers_and_shapes_are_refused(
    store: EmbeddingStore, spec: BackboneSpec, values: Values
) -> None:
    deeper = dataclasses.replace(spec, n_layers=9).refs()
    with pytest.raises(LayerError, match="layers 0 to 3"):
        store.missing(spec, deeper, TEXTS)
    renamed = dataclasses.replace(spec, name="other").refs()
    with pytest.raises(LayerError, match="other:0:mean"):
        store.read(spec, renamed, TEXTS)
    for refs in ((), spec.refs()[:1] * 2):
        with pytest.raises(LayerError, match="distinct"):
            store.writer(spec, refs)
    good = values(spec.refs(), TEXTS)
    with store.writer(spec, spec.refs()) as writer:
        for bad in (good[:-1], good[:, :-1], good[..., :-1]):
            with pytest.raises(ShapeError, match="one row per layer"):
                writer.add(TEXTS, bad)
    with pytest.raises(ShapeError, match="S16"):
        store.missing(spec, spec.refs(), np.zeros(2, "S8"))
    assert store.entries() == []


def test_a_hundred_thousand_texts_cost_one_lookup_and_one_read_of_each_tensor(
    store: EmbeddingStore, spec: BackboneSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"text number {i}" for i in range(100_000)]
    refs = spec.refs()[:2]
    written = np.zeros((2, len(texts), spec.hidden_size), np.float32)
    written[:, :, 0] = np.arange(len(texts))
    with store.writer(spec, refs) as writer:
        writer.add(texts, written)
    lookups = mock.Mock(side_effect=DigestLookup)
    reads = mock.create_autospec(Shard.read, side_effect=Shard.read)
    monkeypatch.setattr("layerfuse.store.index.DigestLookup", lookups)
    monkeypatch.setattr(Shard, "read", reads)
    reader = EmbeddingStore(store.folder)
    assert reader.missing(spec, refs, [*texts, "new"]) == [100_000]
    order = np.random.default_rng(0).permutation(len(texts))
    got = reader.read(spec, refs, [texts[i] for i in order])
    np.testing.assert_array_equal(got, written[:, order])
    assert lookups.call_count == 1  # digests are sorted once, not searched text by text
    assert reads.call_count == len(list(store.folder.rglob("*.safetensors")))


def test_digests_are_not_read_again_when_nothing_changed(
    store: EmbeddingStore,
    spec: BackboneSpec,
    fill: Fill,
    shards: Shards,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(TEXTS)
    store.missing(spec, spec.refs(), TEXTS)
    monkeypatch.setattr("layerfuse.store.index.open_shard", lambda path: pytest.fail(str(path)))
    assert store.missing(spec, spec.refs(), TEXTS) == []
    shards()[0].unlink()
    assert store.missing(spec, spec.refs(), TEXTS) != []
