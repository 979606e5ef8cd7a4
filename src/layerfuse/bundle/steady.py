"""Read a folder that others may replace meanwhile: all of it from one save."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from layerfuse.core.errors import BundleFormatError, LayerFuseError
from layerfuse.core.files import FileMark

_TRIES = 5

Read = TypeVar("Read")


def read_steady(folder: Path, read: Callable[[], Read]) -> Read:
    """Read a folder, and once more where a save took its place before all was read.

    Parameters
    ----------
    folder : Path
        What ``write_bundle`` writes, and replaces whole.
    read : callable
        Reads it. Part of what it returns might be of the old folder and part of the new one.

    Returns
    -------
    Any
        What it returned when the folder stayed.

    Raises
    ------
    BundleFormatError
        If the folder is replaced whenever it is read.
    LayerFuseError
        What ``read`` raises of a folder that stayed.
    """
    for _ in range(_TRIES):
        before = FileMark.of(folder)  # with its time, since the next folder may get its number
        try:
            found = read()
        except LayerFuseError:
            if FileMark.of(folder) == before:
                raise
        else:
            if FileMark.of(folder) == before:
                return found
    raise BundleFormatError(
        f"{folder} was saved over {_TRIES} times while it was read. Load it when that is done."
    )
