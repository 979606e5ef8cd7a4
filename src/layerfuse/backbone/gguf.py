"""Reads a ``.gguf`` file as a dequantised transformers model."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from layerfuse.core.errors import BackboneLoadError, MissingExtraError
from layerfuse.core.spec import Dtype
from layerfuse.core.threads import fork_safe_lock

_READING = fork_safe_lock()  # two threads would put each other's caches back as the originals


def load_gguf(path: Path, dtype: Dtype = "float32") -> tuple[Any, Any]:
    """Load a dequantised decoder and its tokenizer.

    Parameters
    ----------
    path : Path
        The ``.gguf`` file.
    dtype : Dtype
        Precision of the weights.

    Returns
    -------
    model : PreTrainedModel
        The decoder without its language-modelling head and without quantisation settings.
    tokenizer : PreTrainedTokenizerFast
        Its tokenizer.

    Raises
    ------
    MissingExtraError
        If the packages to read GGUF are not installed.
    BackboneLoadError
        If the file is corrupt, lacks weights, or has an architecture that transformers cannot read.
    """
    if not all(importlib.util.find_spec(module) for module in ("gguf", "accelerate")):
        raise MissingExtraError.for_extra(f"Reading {path.name}", "gguf")
    folder, file = str(path.parent), path.name
    try:
        with _parsed_once():
            tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
            # Loaded in this dtype, not cast later, so that rotary frequencies stay in float32.
            whole, info = AutoModelForCausalLM.from_pretrained(
                folder, gguf_file=file, dtype=getattr(torch, dtype), output_loading_info=True
            )
    except MemoryError:
        raise
    except Exception as err:  # transformers and gguf may raise anything for a damaged file
        raise BackboneLoadError(f"{path} cannot be read as a GGUF decoder: {err}") from err
    # transformers initialises missing weights at random. The language-modelling head is not used.
    read = {id(parameter) for parameter in whole.base_model.parameters()}
    missing = sorted(
        name
        for name, parameter in whole.named_parameters()
        if id(parameter) in read and name in info["missing_keys"]
    )
    if missing:
        raise BackboneLoadError(
            f"{path} lacks {len(missing)} weights of {type(whole.base_model).__name__}, such as "
            f"{missing[0]}. Expected a complete file; the parts of one that was split "
            "(NAME-00001-of-00002.gguf) must be merged first, as by llama-gguf-split --merge."
        )
    # The weights are dequantised; with this setting a saved copy would be read as quantised.
    if hasattr(whole.config, "quantization_config"):
        del whole.config.quantization_config
    for attribute in ("hf_quantizer", "is_quantized", "quantization_method"):
        if hasattr(whole, attribute):
            setattr(whole, attribute, None)
    return whole.base_model, tokenizer


@contextmanager
def _parsed_once() -> Iterator[None]:
    """Keep what gguf parses while active.

    transformers parses a file for the tokenizer, the configuration and the weights, and makes the
    same table of tensor names for every module. Both take most of the time of loading.
    """
    import gguf  # noqa: PLC0415 - an extra

    with _READING:
        own = {name: getattr(gguf, name) for name in ("GGUFReader", "get_tensor_name_map")}
        try:
            for name, make in own.items():
                setattr(gguf, name, cache(make))
            yield
        finally:
            for name, make in own.items():
                setattr(gguf, name, make)
