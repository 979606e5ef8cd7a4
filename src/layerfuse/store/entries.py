"""Entries of the store: one folder per backbone spec, with the spec as a readable file."""

import contextlib
import json
import os
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from layerfuse.core.errors import UnknownOptionError
from layerfuse.core.spec import BackboneSpec
from layerfuse.store.files import TEMPORARY, listing, remove, write_whole
from layerfuse.store.shards import DAMAGED, SHARD

SPEC = "spec.json"
STALE_SECONDS = 600.0
"""A temporary file unchanged for this long is debris, because a shard is written in seconds."""

SHORT_FINGERPRINT = 12
"""Characters of a fingerprint that are shown to people."""

_DAY_SECONDS = 86400.0
_FINGERPRINT = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class StoreEntry:
    """The embeddings of one backbone spec in the store.

    Parameters
    ----------
    fingerprint : str
        Fingerprint of the spec and name of the folder.
    spec : BackboneSpec or None
        None if ``spec.json`` is absent or damaged; the next writer restores it.
    n_texts : int
        Number of distinct texts, with some or all layers.
    n_shards : int
        Number of undamaged shards.
    disk_bytes : int
        Size of all files of the entry, including debris.
    idle_seconds : float
        Time since it was last read or written.
    """

    fingerprint: str
    spec: BackboneSpec | None
    n_texts: int
    n_shards: int
    disk_bytes: int
    idle_seconds: float


def prepare_entry(folder: Path, spec: BackboneSpec) -> None:
    """Create the folder of an entry and write its spec, unless both exist.

    Raises
    ------
    StoreError
        If the disk is full or not writable.
    """
    if read_spec(folder) is None:
        text = json.dumps(spec.to_dict(), indent=2, ensure_ascii=True)
        write_whole(folder / SPEC, text.encode())


def read_spec(folder: Path) -> BackboneSpec | None:
    """Return the spec of an entry; None if it cannot be read or does not match the folder name."""
    try:
        spec = BackboneSpec.from_dict(json.loads((folder / SPEC).read_bytes()))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return spec if spec.fingerprint == folder.name else None


def entry_folders(folder: Path) -> list[Path]:
    """Return the folders of all entries of a store, by name.

    Raises
    ------
    StoreError
        If the folder cannot be read.
    """
    return [path for path in listing(folder) if _FINGERPRINT.fullmatch(path.name)]


def disk_bytes(folder: Path) -> int:
    """Return the size of all files of an entry."""
    total = 0
    for path in listing(folder):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def mark_used(folder: Path) -> None:
    """Record that an entry was read, for ``prune``; in a read-only store this does nothing."""
    with contextlib.suppress(OSError):
        os.utime(folder)


def idle_seconds(path: Path) -> float:
    """Return the time since a file was changed or an entry used; 0 if it is gone."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except FileNotFoundError:
        return 0.0


def choose(
    folders: Sequence[Path], names: Iterable[str] | None, older_than_days: float | None
) -> list[Path]:
    """Return the entries that match the names and the age, as far as these are given.

    Raises
    ------
    UnknownOptionError
        If a name is neither the full or short fingerprint nor the backbone of an entry.
    """
    known: dict[str, set[Path]] = {}
    for folder in folders:
        spec = read_spec(folder)
        for name in (folder.name[:SHORT_FINGERPRINT], *([spec.name] if spec else [])):
            known.setdefault(name, set()).add(folder)
    chosen = set(folders)
    if names is not None:
        whole = {folder.name: folder.name[:SHORT_FINGERPRINT] for folder in folders}
        names = [whole.get(name, name) for name in names]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise UnknownOptionError.from_options("names", unknown[0], known)
        chosen = set().union(*(known[name] for name in names))
    if older_than_days is not None:
        chosen = {f for f in chosen if idle_seconds(f) >= older_than_days * _DAY_SECONDS}
    return sorted(chosen)


def remove_debris(folder: Path) -> int:
    """Remove the debris of killed processes and damage in an entry; return the bytes freed.

    Raises
    ------
    StoreError
        If a file cannot be removed.
    """
    return sum(remove(path) for path in listing(folder) if _is_debris(path))


def remove_entry(folder: Path) -> int:
    """Remove an entry, but only files that belong to the store; return the bytes freed.

    Recent temporary files and recent empty folders stay, because a writer may be using them.

    Raises
    ------
    StoreError
        If a file cannot be removed.
    """
    paths = listing(folder)
    if not paths and idle_seconds(folder) < STALE_SECONDS:  # a writer may just have created it
        return 0
    freed = sum(
        remove(path)
        for path in paths
        if path.suffix == SHARD or path.name == SPEC or _is_debris(path)
    )
    with contextlib.suppress(OSError):  # not empty: a user's file or that of a writer
        folder.rmdir()
    return freed


def _is_debris(path: Path) -> bool:
    stale = path.suffix == TEMPORARY and idle_seconds(path) >= STALE_SECONDS
    return stale or path.suffix == DAMAGED
