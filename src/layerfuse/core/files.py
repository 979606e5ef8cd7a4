"""Files that survive a power cut, and that everybody who may read their folder can read."""

import contextlib
import os
from pathlib import Path


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
