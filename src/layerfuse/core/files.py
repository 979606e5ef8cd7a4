"""Files that survive a power cut, that all who may read a folder can read, and their digests."""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple


class FileMark(NamedTuple):
    """Which file or folder it is and whether it may have been written to, without reading it."""

    device: int
    inode: int
    size: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> "FileMark | None":
        """Return the mark of what is there; none if it is gone."""
        try:
            stat = path.stat()
        except OSError:
            return None
        return cls(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)


_DIGESTS: dict[FileMark, str] = {}


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits, and keep it for ``digest_then``."""
    mark = FileMark.of(path)
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if mark is not None:
        _DIGESTS[mark] = found
    return found


def digest_then(mark: FileMark) -> str | None:
    """Return the digest of a file when it had a mark, if this process asked for it then."""
    return _DIGESTS.get(mark)


def fields_digest(fields: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what JSON holds, in whatever order it stands there."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def sync_file(path: Path) -> None:
    """Make what was written to a file survive a power cut."""
    with path.open("rb+") as file:  # Windows syncs only what may be written to
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut, where the system can.

    Windows and some network file systems cannot open or sync a folder. The file itself is whole by
    then, so this is no reason to fail.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def open_to_readers(folder: Path, like: Path) -> None:
    """Give safetensors files the mode of a new file: the library lets only their owner read them.

    Parameters
    ----------
    folder : Path
        Where they lie.
    like : Path
        A file that was just made.
    """
    for path in folder.glob("*.safetensors"):
        path.chmod(like.stat().st_mode)
