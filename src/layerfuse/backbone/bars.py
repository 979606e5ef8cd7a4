"""Silence the progress bars of transformers, which it draws wherever standard error goes."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from transformers.utils import logging


@contextlib.contextmanager
def no_bars() -> Iterator[None]:
    """Draw no bar of transformers for a while; those of the hub's downloads stay as they are."""
    hook = logging.set_tqdm_hook(_undrawn)
    try:
        yield
    finally:
        logging.set_tqdm_hook(hook)


def _undrawn(make: Any, positional: Sequence[Any], named: Mapping[str, Any]) -> Any:
    return make(*positional, **{**named, "disable": True})
