"""The files of a folder that make up a model, and their digest."""

import hashlib
import json
from pathlib import Path

from layerfuse.core.errors import BackboneLoadError
from layerfuse.core.files import file_digest


def digest(path: Path) -> str:
    """Return a digest of a model's configuration and weights.

    Raises
    ------
    BackboneLoadError
        If a folder lacks its configuration or safetensors weights, or contains an adapter.
    """
    total = hashlib.sha256()
    for file in [path] if path.is_file() else model_files(path):
        total.update(bytes.fromhex(file_digest(file)))
    return f"sha256:{total.hexdigest()}"


def model_files(folder: Path) -> list[Path]:
    """Return the configuration and weight files of a folder.

    Raises
    ------
    BackboneLoadError
        If one of them is missing, the folder has an adapter, or an index names other files.
    """
    if (folder / "adapter_config.json").is_file():
        # transformers applies it if peft is installed, and ignores it otherwise, both silently.
        raise BackboneLoadError(
            f"{folder} contains an adapter (adapter_config.json), which is not supported. Merge it "
            "into the weights, for example with merge_and_unload() of peft, and save them. To use "
            "the model without it, remove adapter_config.json and adapter_model.safetensors."
        )
    weights = sorted(folder.glob("*.safetensors"))
    if not (folder / "config.json").is_file() or not weights:
        inside = sorted(
            path.parent.name
            for path in folder.glob("*/config.json")
            if any(path.parent.glob("*.safetensors"))  # a folder 1_Pooling has a configuration too
        )
        hint = (
            f"Its subfolder {inside[0]} may contain a model."
            if len(inside) == 1
            else "Weights in other formats are not read, because they can run code."
        )
        raise BackboneLoadError(
            f"{folder} is not a model folder: expected config.json and *.safetensors, found "
            f"{', '.join(sorted(p.name for p in folder.iterdir())) or 'nothing'}. {hint}"
        )
    read_files(folder)
    return [folder / "config.json", *weights]


def read_files(folder: Path) -> list[Path]:
    """Return the weight files that transformers reads: one, or those that an index names.

    Raises
    ------
    BackboneLoadError
        If the index is damaged, or names files outside the folder, which no digest would cover.
    """
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file() or not index.is_file():
        return [whole] if whole.is_file() else []
    try:
        names = {str(name) for name in json.loads(index.read_text("utf-8"))["weight_map"].values()}
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise BackboneLoadError(
            f"{index} is not an index of weights: {type(err).__name__}: {err}"
        ) from err
    for name in sorted(names):
        if not (folder / name).is_file():
            raise BackboneLoadError(f"{folder} lacks {name}, which {index.name} names.")
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise BackboneLoadError(
                f"{index} names {name}. Expected only *.safetensors files in the same folder, "
                "because the model's digest covers no others."
            )
    return [folder / name for name in sorted(names)]
