"""Read a ``.gguf`` file as a plain transformers model."""

import importlib.util
import struct
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from layerfuse.core.errors import BackboneLoadError, MissingExtraError
from layerfuse.core.spec import Dtype


def load_gguf(path: Path, dtype: Dtype = "float32") -> tuple[Any, Any]:
    """Dequantise a decoder and its tokenizer.

    Parameters
    ----------
    path : Path
        The ``.gguf`` file.
    dtype : Dtype
        Precision of the weights.

    Returns
    -------
    model : PreTrainedModel
        The decoder without its language-modelling head, free of quantisation settings.
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
        # Not cast afterwards: rotary frequencies, which are no weights, stay in float32.
        whole = AutoModelForCausalLM.from_pretrained(
            folder, gguf_file=file, dtype=getattr(torch, dtype)
        )
    except (OSError, ValueError, LookupError, RuntimeError, struct.error) as err:
        raise BackboneLoadError(f"{path} cannot be read as a GGUF decoder: {err}") from err
    # The weights are plain numbers now; with the setting a saved copy would claim otherwise.
    if hasattr(whole.config, "quantization_config"):
        del whole.config.quantization_config
    for attribute in ("hf_quantizer", "is_quantized", "quantization_method"):
        if hasattr(whole, attribute):
            setattr(whole, attribute, None)
    return whole.base_model, tokenizer
