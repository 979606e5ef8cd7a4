"""Files that are there whole or not at all, and one error when the disk refuses."""

import contextlib
import os
import secrets
from io import BufferedWriter
from pathlib import Path

from layerfuse.core.errors import StoreError
from layerfuse.core.files import sync_folder

TEMPORARY = ".tmp"


def store_error(verb: str, path: Path, cause: OSError) -> StoreError:
    """Build the one error for a disk that refuses, with what to do about it."""
    return StoreError(
        f"Could not {verb} {path}: {cause.strerror or cause}. "
        "Free space or mend the permissions there, or choose another cache folder (cache=..., or "
        "LAYERFUSE_CACHE in the environment), or keep nothing (cache=None, or --no-cache)."
    )


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that a kill or power cut at any moment leaves it whole or absent.

    A folder that another process prunes before the file is begun is made again.

    Raises
    ------
    StoreError
        If the disk is full or refuses; nothing is left behind then.
    """
    temporary = path.with_name(f"{secrets.token_hex(8)}{TEMPORARY}")
    try:
        with _begin(temporary) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except BaseException as err:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(err, OSError):
            raise store_error("write", path, err) from err
        raise


def _begin(path: Path) -> BufferedWriter:
    with contextlib.suppress(FileNotFoundError):
        return path.open("xb")
    path.parent.mkdir(parents=True, exist_ok=True)
    sync_folder(path.parent.parent)
    return path.open("xb")


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, if absent.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            sync_folder(folder.parent)
    except OSError as err:
        raise store_error("make", folder, err) from err


def check_writable(folder: Path) -> None:
    """Raise unless files may be put into a folder; what is around it is made, it itself is not.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    try:
        near = folder if folder.is_dir() else folder.parent
        near.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise store_error("make", folder, err) from err
    if not os.access(near, os.W_OK):
        raise store_error("write to", near, PermissionError("it is read-only"))


def listing(folder: Path) -> list[Path]:
    """Return what is in a folder, by name; nothing if there is no such folder.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as err:
        raise store_error("read", folder, err) from err


def remove(path: Path) -> int:
    """Delete a file and return the bytes freed: 0 if another process was faster.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    try:
        size = path.stat().st_size
        path.unlink()
    except FileNotFoundError:
        return 0
    except OSError as err:
        raise store_error("remove", path, err) from err
    return size
