"""Reads a folder that may be replaced meanwhile, so that all files come from one save."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from layerfuse.core.errors import BundleFormatError, LayerFuseError
from layerfuse.core.files import FileMark

_TRIES = 5

Read = TypeVar("Read")


def read_steady(folder: Path, read: Callable[[], Read]) -> Read:
    """Read a folder, and again if it was replaced while it was read.

    Parameters
    ----------
    folder : Path
        Folder that ``write_bundle`` writes, and replaces as a whole.
    read : callable
        Reads the folder. Its result may mix the old and the new folder.

    Returns
    -------
    Any
        Result of a call during which the folder was not replaced.

    Raises
    ------
    BundleFormatError
        If the folder is replaced during five reads.
    LayerFuseError
        As raised by ``read`` while the folder was not replaced.
    """
    for _ in range(_TRIES):
        before = FileMark.of(folder)  # with its time, because the system reuses inode numbers
        try:
            result = read()
        except LayerFuseError:
            if FileMark.of(folder) == before:
                raise
        else:
            if FileMark.of(folder) == before:
                return result
    raise BundleFormatError(
        f"{folder} was replaced {_TRIES} times while it was read. Load it when no process saves it."
    )
