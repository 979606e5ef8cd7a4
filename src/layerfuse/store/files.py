"""Atomic writes, and one error for all failures of the disk."""

import contextlib
import os
import secrets
from io import BufferedWriter
from pathlib import Path

from layerfuse.core.errors import StoreError
from layerfuse.core.files import sync_folder

TEMPORARY = ".tmp"


def store_error(verb: str, path: Path, cause: OSError) -> StoreError:
    """Return the error for a failure of the disk, with remedies."""
    return StoreError(
        f"Could not {verb} {path}: {cause.strerror or cause}. "
        "Free space or fix the permissions there, or choose another cache folder (cache=..., or "
        "LAYERFUSE_CACHE in the environment), or do not keep embeddings (cache=None, or "
        "--no-cache)."
    )


def write_whole(path: Path, data: bytes) -> None:
    """Write a file atomically: after a kill or power cut it is complete or unchanged.

    The folder is created again if another process has pruned it.

    Raises
    ------
    StoreError
        If the disk is full or not writable; then no temporary file is left.
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
    """Create a folder and its parents, if absent.

    Raises
    ------
    StoreError
        If it cannot be created.
    """
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            sync_folder(folder.parent)
    except OSError as err:
        raise store_error("make", folder, err) from err


def check_writable(folder: Path) -> None:
    """Raise unless files can be written to a folder; creates its parents, but not the folder.

    Raises
    ------
    StoreError
        If it is not writable, or its parents cannot be created.
    """
    try:
        near = folder if folder.is_dir() else folder.parent
        near.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise store_error("make", folder, err) from err
    if not os.access(near, os.W_OK):
        raise store_error("write to", near, PermissionError("it is read-only"))


def listing(folder: Path) -> list[Path]:
    """Return the paths in a folder, by name; empty if there is no such folder.

    Raises
    ------
    StoreError
        If the folder cannot be read.
    """
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as err:
        raise store_error("read", folder, err) from err


def remove(path: Path) -> int:
    """Delete a file and return the bytes freed, 0 if another process has deleted it.

    Raises
    ------
    StoreError
        If it cannot be deleted.
    """
    try:
        size = path.stat().st_size
        path.unlink()
    except FileNotFoundError:
        return 0
    except OSError as err:
        raise store_error("remove", path, err) from err
    return size
