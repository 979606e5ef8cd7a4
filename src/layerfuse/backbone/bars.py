"""Silence the progress bars of transformers, which it draws wherever standard error goes."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import transformers.modeling_gguf_pytorch_utils as gguf_reader
from transformers.utils import logging


@contextlib.contextmanager
def no_bars() -> Iterator[None]:
    """Draw no bar of transformers for a while; those of the hub's downloads stay as they are."""
    hook = logging.set_tqdm_hook(_undrawn)
    own = getattr(gguf_reader, "tqdm", None)  # the reader's own, which asks no setting
    gguf_reader.tqdm = logging.tqdm
    try:
        yield
    finally:
        logging.set_tqdm_hook(hook)
        gguf_reader.tqdm = own


def _undrawn(make: Any, positional: Sequence[Any], named: Mapping[str, Any]) -> Any:
    return make(*positional, **{**named, "disable": True})
