"""Digests of files, writes that survive a power cut, and readable file modes."""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple


class FileMark(NamedTuple):
    """Identity, size and modification time of a file or folder, from ``stat`` alone."""

    device: int
    inode: int
    size: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> "FileMark | None":
        """Return the mark of a path, or None if nothing is there."""
        try:
            stat = path.stat()
        except OSError:
            return None
        return cls(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)


_DIGESTS: dict[FileMark, str] = {}


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal, and keep it for ``digest_then``."""
    mark = FileMark.of(path)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if mark is not None:
        _DIGESTS[mark] = digest
    return digest


def digest_then(mark: FileMark) -> str | None:
    """Return the digest of a file with this mark, if this process has computed it."""
    return _DIGESTS.get(mark)


def fields_digest(fields: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a JSON object, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def sync_file(path: Path) -> None:
    """Write a file through to disk, so that it survives a power cut."""
    with path.open("rb+") as file:  # Windows syncs only files opened for writing
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Write the names in a folder through to disk, if the system supports it.

    Windows and some network file systems cannot open or sync a folder. This is ignored, because the
    file itself is already on disk.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def open_to_readers(folder: Path, like: Path) -> None:
    """Give safetensors files the mode of a new file; the library makes them readable by owner only.

    Parameters
    ----------
    folder : Path
        Folder of the files.
    like : Path
        A file that was just created.
    """
    for path in folder.glob("*.safetensors"):
        path.chmod(like.stat().st_mode)
