"""Which files of a folder make up a model, and their digest."""

import hashlib
from pathlib import Path

from layerfuse.core.errors import BackboneLoadError


def digest(path: Path) -> str:
    """Return a digest of a model's configuration and weights.

    Raises
    ------
    BackboneLoadError
        If a folder lacks its configuration or safetensors weights, or holds an adapter.
    """
    total = hashlib.sha256()
    for file in [path] if path.is_file() else model_files(path):
        with file.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return f"sha256:{total.hexdigest()}"


def model_files(folder: Path) -> list[Path]:
    """Return the configuration and the weights in a folder.

    Raises
    ------
    BackboneLoadError
        If one of the two is missing, or an adapter lies beside them.
    """
    if (folder / "adapter_config.json").is_file():
        # With peft installed transformers applies it, without it does not, both without a word.
        raise BackboneLoadError(
            f"{folder} holds an adapter (adapter_config.json), which is not read. Merge it into "
            "the weights, as by merge_and_unload() of peft, and save these; or, to go on without "
            "it, take adapter_config.json and adapter_model.safetensors out of the folder."
        )
    weights = sorted(folder.glob("*.safetensors"))
    if not (folder / "config.json").is_file() or not weights:
        raise BackboneLoadError(
            f"{folder} is no model folder: expected config.json and *.safetensors, found "
            f"{', '.join(sorted(p.name for p in folder.iterdir())) or 'nothing'}. "
            "Weights in other formats are not read, since they can run code."
        )
    return [folder / "config.json", *weights]
