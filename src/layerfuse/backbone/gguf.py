"""Read a ``.gguf`` file as a float32 transformers model."""

import importlib.util
import struct
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from layerfuse.core.errors import BackboneLoadError, MissingExtraError


def load_gguf(path: Path) -> tuple[Any, Any]:
    """Dequantise a decoder and its tokenizer.

    Parameters
    ----------
    path : Path
        The ``.gguf`` file.

    Returns
    -------
    model : PreTrainedModel
        The decoder without its language-modelling head, float32, free of quantisation settings.
    tokenizer : PreTrainedTokenizerFast
        Its tokenizer.

    Raises
    ------
    MissingExtraError
        If the packages that read GGUF are not installed.
    BackboneLoadError
        If the file is corrupt or of an architecture transformers cannot read.
    """
    if not all(importlib.util.find_spec(module) for module in ("gguf", "accelerate")):
        raise MissingExtraError.for_extra(f"Reading {path.name}", "gguf")
    folder, file = str(path.parent), path.name
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
        whole = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32)
    except (OSError, ValueError, LookupError, RuntimeError, struct.error) as err:
        raise BackboneLoadError(f"{path} cannot be read as a GGUF decoder: {err}") from err
    # The weights are plain float32 now; with the setting a saved copy would claim otherwise.
    if hasattr(whole.config, "quantization_config"):
        del whole.config.quantization_config
    for attribute in ("hf_quantizer", "is_quantized", "quantization_method"):
        if hasattr(whole, attribute):
            setattr(whole, attribute, None)
    return whole.base_model, tokenizer
