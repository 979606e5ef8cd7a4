"""The folder of a saved classifier: configuration, arrays, model card, optionally backbones.

Nothing is pickled. ``config.json`` has the digest of every file and of itself, so that a missing or
altered file is detected before it is used.
"""

import glob
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from layerfuse.core.errors import BundleFormatError
from layerfuse.core.files import fields_digest, file_digest, open_to_readers

FORMAT_VERSION = 6
"""Changes: 2, a TF-IDF head is possible; 3, the fusion in use is named; 4, the TF-IDF head has a
temperature; 5, it records whether its words keep their marks; 6, it may use character n-grams."""
_CONFIG = "config.json"
_ARRAYS = "arrays.safetensors"
_CARD = "README.md"
_DIGEST = "digest"


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """The contents of the folder of a saved classifier.

    Parameters
    ----------
    config : mapping
        Configuration of plain JSON types.
    arrays : mapping of str to array
        All learned arrays.
    card : str
        Model card in Markdown; empty if it was deleted.
    """

    config: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    card: str


def write_bundle(
    folder: str | Path, bundle: Bundle, write_backbones: Callable[[Path], None] | None = None
) -> None:
    """Write a bundle completely or not at all.

    It is built under a temporary name beside the folder and then renamed. An older bundle is
    replaced; anything else is refused. A kill between the two renames leaves the older bundle in a
    hidden folder beside the place, which the error on loading names.

    Parameters
    ----------
    folder : str or Path
        Must not exist, be empty, or contain a bundle.
    bundle : Bundle
        Bundle to write.
    write_backbones : callable, optional
        Writes cut backbones into the folder that it is given.

    Raises
    ------
    BundleFormatError
        If the folder contains something else.
    OSError
        If writing fails; then nothing is left behind.
    """
    place = check_place(folder)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name}-") as scratch:
        built, old = Path(scratch) / "new", Path(scratch) / "old"
        built.mkdir()
        try:
            _write_files(built, bundle, write_backbones)
        except SafetensorError as err:  # safetensors raises this if the disk is full
            raise OSError(f"{place} cannot be written: {err}") from err
        try:
            if place.exists():
                place.rename(old)
            built.rename(place)
        except BaseException:
            if old.exists():
                old.rename(place)
            raise


def _write_files(
    folder: Path, bundle: Bundle, write_backbones: Callable[[Path], None] | None
) -> None:
    arrays = {name: np.ascontiguousarray(array) for name, array in bundle.arrays.items()}
    save_file(arrays, folder / _ARRAYS)
    (folder / _CARD).write_text(bundle.card, "utf-8")
    open_to_readers(folder, like=folder / _CARD)
    if write_backbones is not None:
        write_backbones(folder)
    config = {"format_version": FORMAT_VERSION, **bundle.config, "files": _digests(folder)}
    plain = json.loads(json.dumps(config, default=_plain))
    text = json.dumps({**plain, _DIGEST: fields_digest(plain)}, indent=2, ensure_ascii=False)
    (folder / _CONFIG).write_text(text + "\n", "utf-8")


def check_place(folder: str | Path) -> Path:
    """Raise unless a bundle can be written to a folder; called before the long work.

    Parameters
    ----------
    folder : str or Path
        Folder of the bundle.

    Returns
    -------
    Path
        The absolute folder.

    Raises
    ------
    BundleFormatError
        If the folder contains something else, is a mount point, or is the working folder or one of
        its parents.
    OSError
        If its nearest existing parent is not a writable folder.
    """
    place = Path(folder).expanduser().resolve()
    if place.is_mount():
        raise BundleFormatError(
            f"{place} is a mount point, which cannot be replaced. Name a folder inside it."
        )
    if place in (here := Path.cwd(), *here.parents):
        raise BundleFormatError(
            f"{place} is the working folder or contains it, so it must not be replaced. "
            "Name a folder inside it."
        )
    foreign = _foreign_file(place)
    if foreign is not None:
        raise BundleFormatError(
            f"{place} holds a file that is not part of a saved classifier: {foreign}. "
            "Choose another folder or empty it."
        )
    parent = next(parent for parent in place.parents if parent.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise PermissionError(f"{place} cannot be created: {parent} is not a writable folder.")
    return place


def read_bundle(folder: str | Path) -> Bundle:
    """Read a bundle after checking that all files exist and are unaltered.

    The model card is not checked, because users may edit or delete it.

    Parameters
    ----------
    folder : str or Path
        Folder that ``write_bundle`` wrote.

    Returns
    -------
    Bundle
        Its contents.

    Raises
    ------
    BundleFormatError
        If it is not a bundle, has a newer format, or a file is missing or altered.
    """
    folder = Path(folder).expanduser()
    config = read_config(folder)
    for name, digest in config["files"].items():
        if name == _CARD:
            continue
        if not (folder / name).is_file():
            raise BundleFormatError(
                f"{folder} is incomplete: {name} is missing. Copy the whole folder again."
            )
        if file_digest(folder / name) != digest:
            raise BundleFormatError(
                f"{folder} is corrupt: {name} is not the file that was saved. Copy it again."
            )
    try:
        arrays = load_file(folder / _ARRAYS)
    except (SafetensorError, OSError) as err:
        raise BundleFormatError(f"{folder / _ARRAYS} cannot be read: {err}") from err
    card = folder / _CARD
    return Bundle(config, arrays, card.read_text("utf-8", "replace") if card.is_file() else "")


def read_config(folder: str | Path) -> dict[str, Any]:
    """Read only the configuration of a bundle, which is fast, after checking its digest.

    Parameters
    ----------
    folder : str or Path
        Folder that ``write_bundle`` wrote.

    Returns
    -------
    dict
        The configuration, with the format version and the digests of the files.

    Raises
    ------
    BundleFormatError
        If it is not a bundle, has a newer format, or the configuration is altered.
    """
    folder = Path(folder).expanduser()
    try:
        config = json.loads((folder / _CONFIG).read_text("utf-8"))
    except FileNotFoundError as err:
        raise BundleFormatError(
            f"{folder} is not a saved classifier: {_CONFIG} is missing. {_advice(folder)}"
        ) from err
    except (OSError, ValueError) as err:
        raise BundleFormatError(f"{folder / _CONFIG} cannot be read: {err}") from err
    version = config.get("format_version") if isinstance(config, dict) else None
    if not isinstance(version, int) or not isinstance(config.get("files"), dict):
        raise BundleFormatError(f"{folder / _CONFIG} was not written by layerfuse.")
    if version > FORMAT_VERSION:
        raise BundleFormatError(
            f"{folder} has format {version}, this layerfuse reads up to {FORMAT_VERSION}. "
            "Run: pip install --upgrade layerfuse"
        )
    if config.pop(_DIGEST, None) != fields_digest(config):
        raise BundleFormatError(
            f"{folder} is corrupt: {_CONFIG} is not the file that was saved. Copy it again."
        )
    checked: dict[str, Any] = config
    return checked


def _advice(folder: Path) -> str:
    """Return a hint; if a save was killed while replacing an older bundle, where that one is."""
    if not folder.exists():
        for old in folder.parent.glob(f".{glob.escape(folder.name)}-*/old"):
            return f"A save was killed while replacing it. Move the older one back from {old}."
    return "Expected a folder that save() wrote."


def _foreign_file(place: Path) -> str | None:
    """Return the name of a file there that is not part of a bundle."""
    if not place.exists():
        return None
    if not place.is_dir():
        return place.name
    try:
        known = {_CONFIG, *read_config(place)["files"]}
    except BundleFormatError:
        known = set()
    inside = (path for path in sorted(place.rglob("*")) if not path.is_dir())
    names = (path.relative_to(place).as_posix() for path in inside)
    return next((name for name in names if name not in known), None)


def _plain(value: Any) -> Any:
    """Convert NumPy numbers, as in parameter grids, to JSON types."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{value!r} cannot be saved: expected a number, text or list of them.")


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in files}


def with_prefix(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Return the arrays of one part of a classifier, without the prefix of their names.

    Parameters
    ----------
    arrays : mapping of str to array
        All arrays of a bundle.
    prefix : str
        Prefix of the part, such as ``head.``.

    Returns
    -------
    dict of str to array
        Arrays whose names had the prefix.
    """
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
