"""Which files of a folder make up a model, and their digest."""

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
        If a folder lacks its configuration or safetensors weights, or holds an adapter.
    """
    total = hashlib.sha256()
    for file in [path] if path.is_file() else model_files(path):
        total.update(bytes.fromhex(file_digest(file)))
    return f"sha256:{total.hexdigest()}"


def model_files(folder: Path) -> list[Path]:
    """Return the configuration and the weights in a folder.

    Raises
    ------
    BackboneLoadError
        If one of the two is missing, an adapter lies beside them, or an index names other files.
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
        inside = sorted(
            path.parent.name
            for path in folder.glob("*/config.json")
            if any(path.parent.glob("*.safetensors"))  # a folder 1_Pooling has a configuration too
        )
        hint = (
            f"A model may lie in the folder {inside[0]} inside it."
            if len(inside) == 1
            else "Weights in other formats are not read, since they can run code."
        )
        raise BackboneLoadError(
            f"{folder} is no model folder: expected config.json and *.safetensors, found "
            f"{', '.join(sorted(p.name for p in folder.iterdir())) or 'nothing'}. {hint}"
        )
    read_files(folder)
    return [folder / "config.json", *weights]


def read_files(folder: Path) -> list[Path]:
    """Return the files of weights that transformers reads: one, or those that an index names.

    Raises
    ------
    BackboneLoadError
        If the index names files that do not lie beside it, which no digest would hold.
    """
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file() or not index.is_file():
        return [whole] if whole.is_file() else []
    try:
        names = {str(name) for name in json.loads(index.read_text("utf-8"))["weight_map"].values()}
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise BackboneLoadError(
            f"{index} is no index of weights: {type(err).__name__}: {err}"
        ) from err
    for name in sorted(names):
        if not (folder / name).is_file():
            raise BackboneLoadError(f"{folder} lacks {name}, which {index.name} names.")
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise BackboneLoadError(
                f"{index} names {name}. Expected *.safetensors files beside it: others are not "
                "part of what the model is known by."
            )
    return [folder / name for name in sorted(names)]
