"""Read a folder that others may replace meanwhile: all of it from one save."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from layerfuse.core.errors import BundleFormatError, LayerFuseError

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
        before = _identity(folder)
        try:
            found = read()
        except LayerFuseError:
            if _identity(folder) == before:
                raise
        else:
            if _identity(folder) == before:
                return found
    raise BundleFormatError(
        f"{folder} was saved over {_TRIES} times while it was read. Load it when that is done."
    )


def _identity(folder: Path) -> tuple[int, int, int] | None:
    """Tell folders apart that stand at one place one after the other; None while there is none.

    The number of one that was replaced is soon given to another.
    """
    try:
        stat = folder.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_mtime_ns
