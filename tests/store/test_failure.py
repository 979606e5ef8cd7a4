"""Kills, full disks, interrupts and many writers: at most the current shard is lost."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from layerfuse.core.errors import StoreError
from layerfuse.core.layers import LayerRef
from layerfuse.core.spec import BackboneSpec
from layerfuse.store import EmbeddingStore

Values = Callable[[Sequence[LayerRef], Sequence[str]], np.ndarray]
Fill = Callable[..., None]

TEXTS = [f"t{i}" for i in range(25)]

WRITER = """
import os, sys, time
import numpy as np
from layerfuse.core.spec import BackboneSpec
from layerfuse.store import EmbeddingStore

folder, begin, end = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
spec = BackboneSpec("tiny", "sha256:1", "sha256:2", 3, 4, ("mean", "last"), 64)
refs = spec.refs()

def add(writer, number):
    rows = np.array([ref.layer / 10 + len(ref.pooling) / 400 for ref in refs])
    grid = (rows[:, None, None] + float(number) + np.arange(4)).astype(np.float32)
    writer.add([f"t{number}"], grid)

"""


def spawn(body: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER + body, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def leftovers(store: EmbeddingStore) -> list[Path]:
    return [path for path in store.folder.rglob("*") if path.suffix == ".tmp"]


def test_a_kill_in_mid_write_loses_the_shard_in_flight_only(
    store: EmbeddingStore, spec: BackboneSpec, values: Values
) -> None:
    body = """
real = os.fsync
seen = []
def fsync(descriptor):  # spec.json and two shards pass; the third lies half written when we hang
    if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".tmp"):
        seen.append(descriptor)
    if len(seen) == 4:
        print("hanging", flush=True)
        time.sleep(60)
    real(descriptor)
os.fsync = fsync
with EmbeddingStore(folder).writer(spec, refs, shard_texts=10) as writer:
    for number in range(begin, end):
        add(writer, number)
"""
    process = spawn(body, store.folder, 0, 50)
    assert process.stdout.readline() == "hanging\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL

    texts = [f"t{i}" for i in range(50)]
    (temporary,) = leftovers(store)
    assert store.missing(spec, spec.refs(), texts) == list(range(20, 50))
    np.testing.assert_array_equal(
        store.read(spec, spec.refs(), texts[:20]), values(spec.refs(), texts[:20])
    )
    assert store.verify() == []
    store.prune()
    assert temporary.exists()  # so young that a writer may be at work
    os.utime(temporary, (0, 0))
    size = temporary.stat().st_size
    assert store.prune() == size > 0
    assert leftovers(store) == []
    assert store.missing(spec, spec.refs(), texts) == list(range(20, 50))


def test_kills_at_any_moment_leave_whole_shards(
    store: EmbeddingStore, spec: BackboneSpec, values: Values
) -> None:
    body = """
with EmbeddingStore(folder).writer(spec, refs, shard_texts=3) as writer:
    for number in range(begin, end):
        add(writer, number)
        if number == begin + 6:  # a slow disk may take longer than the waits below for one shard
            print("ready", flush=True)
"""
    kept = 0
    for round_ in range(3):
        process = spawn(body, store.folder, kept, 100_000)
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.05 + 0.07 * round_)
        process.kill()
        process.communicate()
        texts = [f"t{i}" for i in range(100_000)]
        absent = store.missing(spec, spec.refs(), texts)
        assert absent == list(range(absent[0], 100_000))  # a gapless beginning is there
        assert absent[0] > kept
        kept = absent[0]
    refs = spec.refs()
    np.testing.assert_array_equal(store.read(spec, refs, texts[:kept]), values(refs, texts[:kept]))
    assert store.verify() == []


def test_two_processes_writing_at_once_lose_nothing(
    store: EmbeddingStore, spec: BackboneSpec, values: Values
) -> None:
    body = """
with EmbeddingStore(folder).writer(spec, refs, shard_texts=7) as writer:
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(begin, end):
        add(writer, number)
"""
    processes = [spawn(body, store.folder, begin, begin + 300) for begin in (0, 200)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    texts = [f"t{i}" for i in range(500)]
    assert store.missing(spec, spec.refs(), texts) == []
    np.testing.assert_array_equal(store.read(spec, spec.refs(), texts), values(spec.refs(), texts))
    assert leftovers(store) == []
    assert store.verify() == []


def test_a_file_that_cannot_grow_is_one_error_and_leaves_no_half_shard(
    store: EmbeddingStore,
) -> None:
    body = """
import resource
from layerfuse.core.errors import StoreError
store = EmbeddingStore(folder)
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))  # Python ignores SIGXFSZ: write fails
try:
    with store.writer(spec, refs, shard_texts=100) as writer:
        for number in range(begin, end):
            add(writer, number)
except StoreError as error:
    print(error, "|", type(error.__cause__).__name__, "|", getattr(error, "__notes__", []))
    print(sorted(name.split(".")[-1] for _, _, names in os.walk(folder) for name in names))
"""
    process = spawn(body, store.folder, 0, 250)
    output, _ = process.communicate()
    assert process.returncode == 0
    assert "File too large. Free space" in output
    assert "choose another cache folder" in output
    assert "| OSError | []" in output
    assert output.splitlines()[1] == "['json']"


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_full_in_the_middle_keeps_the_shards_before(
    store: EmbeddingStore,
    spec: BackboneSpec,
    fill: Fill,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
) -> None:
    fill(TEXTS[:10])
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def refuse(*_: object) -> None:
        raise full

    if call == "fsync":
        monkeypatch.setattr("os.fsync", refuse)
    else:
        monkeypatch.setattr("pathlib.Path.replace", refuse)
    with pytest.raises(StoreError, match=r"No space left on device\. Free space") as caught:
        fill(TEXTS[10:])
    monkeypatch.undo()
    assert caught.value.__cause__ is full
    assert leftovers(store) == []
    assert store.missing(spec, spec.refs(), TEXTS) == list(range(10, 25))
    fill(TEXTS[10:])
    assert store.missing(spec, spec.refs(), TEXTS) == []


def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path: Path, spec: BackboneSpec) -> None:
    (tmp_path / "file").write_text("no folder")
    store = EmbeddingStore(tmp_path / "file" / "cache")
    with (
        pytest.raises(StoreError, match=r"another cache folder .*LAYERFUSE_CACHE.* --no-cache"),
        store.writer(spec, spec.refs()),
    ):
        pytest.fail("entered, so that texts are embedded in vain")


def test_a_folder_that_may_not_be_written_is_told_before_anything_is_embedded(
    store: EmbeddingStore, spec: BackboneSpec, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(TEXTS)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(StoreError, match=r"write to .* read-only"), store.writer(spec, spec.refs()):
        pytest.fail("entered, so that texts are embedded in vain")


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, ValueError])
def test_what_was_complete_is_kept_when_the_block_ends_early(
    store: EmbeddingStore, spec: BackboneSpec, values: Values, stop: type[BaseException]
) -> None:
    refs = spec.refs()

    def interrupted() -> None:
        with store.writer(spec, refs, shard_texts=10) as writer:
            writer.add(TEXTS[:13], values(refs, TEXTS[:13]))
            raise stop

    with pytest.raises(stop):
        interrupted()
    assert store.missing(spec, refs, TEXTS) == list(range(13, 25))


def test_an_interrupt_inside_the_write_keeps_the_shard(
    store: EmbeddingStore, spec: BackboneSpec, values: Values, monkeypatch: pytest.MonkeyPatch
) -> None:
    refs = spec.refs()
    real = os.fsync
    calls = []

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1:
            raise KeyboardInterrupt
        real(descriptor)

    def interrupted() -> None:
        with store.writer(spec, refs, shard_texts=10) as writer:
            writer.add(TEXTS[:5], values(refs, TEXTS[:5]))
            monkeypatch.setattr("os.fsync", fsync)
            writer.add(TEXTS[5:], values(refs, TEXTS[5:]))

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert store.missing(spec, refs, TEXTS) == list(range(10, 25))
    assert leftovers(store) == []


def test_the_first_error_is_told_when_the_disk_is_full_too(
    store: EmbeddingStore, spec: BackboneSpec, values: Values, monkeypatch: pytest.MonkeyPatch
) -> None:
    refs = spec.refs()

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    def interrupted() -> None:
        with store.writer(spec, refs) as writer:
            writer.add(TEXTS, values(refs, TEXTS))
            monkeypatch.setattr("os.fsync", refuse)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        interrupted()
    assert "not stored" in caught.value.__notes__[0]
