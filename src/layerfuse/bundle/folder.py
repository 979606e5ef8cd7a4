"""The folder of a saved classifier: configuration, arrays, model card, maybe backbones.

Nothing here is pickled. Every file is named with its digest in ``config.json``, which carries its
own, so that a missing or altered one is found before it is used.
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

FORMAT_VERSION = 5
"""2: a lexical head may stand beside the other; 3: names the fusion in use; 4: a lexical head has a
temperature; 5: and tells whether its words keep their marks."""
_CONFIG = "config.json"
_ARRAYS = "arrays.safetensors"
_CARD = "README.md"
_DIGEST = "digest"


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """What a folder holds.

    Parameters
    ----------
    config : mapping
        Plain JSON types.
    arrays : mapping of str to array
        Everything learned.
    card : str
        Model card in markdown; empty if it was taken away.
    """

    config: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    card: str


def write_bundle(
    folder: str | Path, bundle: Bundle, write_backbones: Callable[[Path], None] | None = None
) -> None:
    """Write a bundle, whole or not at all.

    It is built beside its place under a temporary name and then renamed; an older bundle at that
    place is replaced, anything else is left alone. A kill between the two renames that replace one
    leaves the older in a hidden folder beside its place, which is named when it is missed.

    Parameters
    ----------
    folder : str or Path
        Must not exist, be empty, or hold a bundle.
    bundle : Bundle
        What to write.
    write_backbones : callable, optional
        Writes cut backbones into the folder it is given.

    Raises
    ------
    BundleFormatError
        If the folder holds something else.
    OSError
        If the disk refuses; then nothing is left of the attempt.
    """
    place = check_place(folder)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name}-") as scratch:
        built, old = Path(scratch) / "new", Path(scratch) / "old"
        built.mkdir()
        try:
            _write_files(built, bundle, write_backbones)
        except SafetensorError as err:  # how safetensors says that the disk is full
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
    """Raise unless a bundle may be written there; for those who work long before they write.

    Parameters
    ----------
    folder : str or Path
        Where a bundle shall be.

    Returns
    -------
    Path
        The absolute folder.

    Raises
    ------
    BundleFormatError
        If the folder holds something else, is a mount point or the working folder, or is around it.
    OSError
        If there is no folder around it that may be written to.
    """
    place = Path(folder).expanduser().resolve()
    if place.is_mount():
        raise BundleFormatError(
            f"{place} is a mount point, which cannot be replaced whole. Name a folder inside it."
        )
    if place in (here := Path.cwd(), *here.parents):
        raise BundleFormatError(
            f"{place} is the working folder or around it, and would be replaced under your feet. "
            "Name a folder inside it."
        )
    stranger = _stranger(place)
    if stranger is not None:
        raise BundleFormatError(
            f"{place} holds something that is no saved classifier: {stranger}. "
            "Choose another folder or empty it."
        )
    around = next(parent for parent in place.parents if parent.exists())
    if not around.is_dir() or not os.access(around, os.W_OK):
        raise PermissionError(f"{place} cannot be made: {around} is no folder one may write to.")
    return place


def read_bundle(folder: str | Path) -> Bundle:
    """Read a bundle after checking that every file is there and unaltered, but for the model card.

    The card is for people, who may write in it or take it away.

    Parameters
    ----------
    folder : str or Path
        What ``write_bundle`` wrote.

    Returns
    -------
    Bundle
        Its content.

    Raises
    ------
    BundleFormatError
        If it is no bundle, of a newer format, or a file is missing or altered.
    """
    folder = Path(folder).expanduser()
    config = read_config(folder)
    for name, digest in config["files"].items():
        if name == _CARD:
            continue
        if not (folder / name).is_file():
            raise BundleFormatError(
                f"{folder} is incomplete: {name} is missing. Copy it again whole."
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
    """Read the configuration of a bundle alone, which takes no time, after checking its digest.

    Parameters
    ----------
    folder : str or Path
        What ``write_bundle`` wrote.

    Returns
    -------
    dict
        What was given to ``write_bundle``, the format's version and the digests of the files.

    Raises
    ------
    BundleFormatError
        If it is no bundle, of a newer format, or the configuration is altered.
    """
    folder = Path(folder).expanduser()
    try:
        config = json.loads((folder / _CONFIG).read_text("utf-8"))
    except FileNotFoundError as err:
        raise BundleFormatError(
            f"{folder} is no saved classifier: {_CONFIG} is missing. {_advice(folder)}"
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
    """Say where the older bundle lies, if a process was killed when it was about to be replaced."""
    if not folder.exists():
        for old in folder.parent.glob(f".{glob.escape(folder.name)}-*/old"):
            return f"A save was killed when all but done; the one before is {old}: move it back."
    return "Expected what save() wrote."


def _stranger(place: Path) -> str | None:
    """Return the name of something there that is no part of a bundle."""
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
    """Return NumPy's numbers, which parameter grids are made of, as JSON has them."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{value!r} cannot be saved: expected a number, text or list of them.")


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in files}


def with_prefix(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Return the arrays of one part of a classifier, named as that part names them.

    Parameters
    ----------
    arrays : mapping of str to array
        All arrays of a bundle.
    prefix : str
        Such as ``head.``.

    Returns
    -------
    dict of str to array
        Those with the prefix, without it.
    """
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
