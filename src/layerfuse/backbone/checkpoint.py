"""Weights in a folder that its configuration does not say how to read, or does not count."""

import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safetensors import safe_open

from layerfuse.backbone.weights import read_files
from layerfuse.core.errors import BackboneLoadError

_NUMBER = re.compile(r"\.\d+\.")
_MOST_PREFIXES = 2
"""Names in a checkpoint may begin with so many parts that those in the model do not have."""


def check_plain(folder: Path) -> None:
    """Refuse whole numbers in place of weights: what they are multiplied by is not told anywhere.

    transformers takes them as they are, as of bitsandbytes without its part of the configuration.

    Raises
    ------
    BackboneLoadError
        With the first of them.
    """
    for file in read_files(folder):
        with safe_open(file, framework="numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - no mapping
                kind = tensors.get_slice(name).get_dtype()
                if name.endswith((".weight", ".bias")) and kind.startswith(("I", "U", "BOOL")):
                    raise BackboneLoadError(
                        f"{file} holds whole numbers ({kind}) for {name}, but its config.json has "
                        "no quantization_config that says how to read them. Take the whole "
                        "checkpoint, or one that is not quantised."
                    )


def warn_of_more_blocks(folder: Path, model: Any, unexpected: Iterable[str]) -> None:
    """Warn of weights that the first block has too: those of blocks that were not built.

    Parameters
    ----------
    folder : Path
        For the message.
    model : PreTrainedModel
        Built by the configuration.
    unexpected : iterable of str
        Weights that it has no place for.

    Warns
    -----
    UserWarning
        If there are some.
    """
    own = {name for name, _ in model.named_parameters()}
    beyond = []
    for name in sorted(unexpected):
        parts = _NUMBER.sub(".0.", name, count=1).split(".")
        if any(".".join(parts[start:]) in own for start in range(_MOST_PREFIXES + 1)):
            beyond.append(name)
    if beyond:
        warnings.warn(
            f"{folder} holds {len(beyond)} weights of blocks beyond those that its config.json "
            f"counts, such as {beyond[0]}. They are not read.",
            stacklevel=2,
        )
