"""Weights in a folder that its configuration does not say how to read, or does not count."""

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
    """Refuse whole numbers in place of weights: what they are multiplied by is not told anywhere.

    transformers takes them as they are, as of bitsandbytes without its part of the configuration.

    Parameters
    ----------
    folder : Path
        Read by a configuration that names no quantisation.
    unread : collection of str
        Names in the files that the model has no place for.

    Raises
    ------
    BackboneLoadError
        With the first of them.
    """
    for file in read_files(folder):
        with safe_open(file, framework="numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - no mapping
                tensor = tensors.get_slice(name)
                kind = tensor.get_dtype()
                # attn.bias of (1, 1, n, n) is who sees whom, as GPT-2 and its heirs once saved it.
                is_weight = name.endswith(".weight") or (
                    name.endswith(".bias") and len(tensor.get_shape()) == 1
                )
                if is_weight and name not in unread and kind.startswith(("I", "U", "BOOL")):
                    raise BackboneLoadError(
                        f"{file} holds whole numbers ({kind}) for {name}, but its config.json has "
                        "no quantization_config that says how to read them. Take the whole "
                        "checkpoint, or one that is not quantised."
                    )


def warn_of_more_blocks(folder: Path, model: Any, unread: Collection[str]) -> None:
    """Warn of weights that the first block has too: those of blocks that were not built.

    Parameters
    ----------
    folder : Path
        For the message.
    model : PreTrainedModel
        Built by the configuration.
    unread : collection of str
        Names in the files that it has no place for.

    Warns
    -----
    UserWarning
        If there are some.
    """
    own = {name for name, _ in model.named_parameters()}
    # Other beginnings are of other parts, whose blocks may be named alike: a tower that sees.
    names = {name: name.removeprefix(f"{model.base_model_prefix}.") for name in unread}
    beyond = sorted(
        name
        for name, plain in names.items()
        if plain not in own and _NUMBER.sub(".0.", plain, count=1) in own
    )
    if beyond:
        warnings.warn(
            f"{folder} holds {len(beyond)} weights of blocks beyond those that its config.json "
            f"counts, such as {beyond[0]}. They are not read.",
            stacklevel=2,
        )
