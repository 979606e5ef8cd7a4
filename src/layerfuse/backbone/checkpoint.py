"""Checks for quantised weights without a configuration, and for blocks that it does not count."""

import re
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

from safetensors import safe_open

from layerfuse.backbone.weights import read_files
from layerfuse.core.errors import BackboneLoadError

_NUMBER = re.compile(r"\.\d+\.")


def check_plain(folder: Path, unread: Collection[str]) -> None:
    """Raise if weights are integers, whose scales are unknown without a quantisation config.

    transformers would load them unscaled, as with bitsandbytes weights without their configuration.

    Parameters
    ----------
    folder : Path
        Folder of a model whose configuration names no quantisation.
    unread : collection of str
        Names in the files that the model does not have.

    Raises
    ------
    BackboneLoadError
        If there are such weights; names the first.
    """
    for file in read_files(folder):
        with safe_open(file, framework="numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - no mapping
                tensor = tensors.get_slice(name)
                kind = tensor.get_dtype()
                # attn.bias of (1, 1, n, n) is an attention mask, as GPT-2 and others once saved.
                is_weight = name.endswith(".weight") or (
                    name.endswith(".bias") and len(tensor.get_shape()) == 1
                )
                if is_weight and name not in unread and kind.startswith(("I", "U", "BOOL")):
                    raise BackboneLoadError(
                        f"{file} has integers ({kind}) for {name}, but its config.json has no "
                        "quantization_config to read them. Use the complete checkpoint, or one "
                        "that is not quantised."
                    )


def warn_of_more_blocks(folder: Path, model: Any, unread: Collection[str]) -> None:
    """Warn of unread weights that also exist in the first block, so belong to further blocks.

    Parameters
    ----------
    folder : Path
        Folder of the model, for the message.
    model : PreTrainedModel
        Model built from the configuration.
    unread : collection of str
        Names in the files that the model does not have.

    Warns
    -----
    UserWarning
        If there are such weights.
    """
    read = {name for name, _ in model.named_parameters()}
    # Other prefixes belong to other parts with blocks of the same names, such as a vision tower.
    names = {name: name.removeprefix(f"{model.base_model_prefix}.") for name in unread}
    beyond = sorted(
        name
        for name, plain in names.items()
        if plain not in read and _NUMBER.sub(".0.", plain, count=1) in read
    )
    if beyond:
        warnings.warn(
            f"{folder} has {len(beyond)} weights of blocks beyond those that its config.json "
            f"counts, such as {beyond[0]}. They are not read.",
            stacklevel=2,
        )
