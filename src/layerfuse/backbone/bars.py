"""Hides the progress bars of transformers, which it draws even if stderr is not a terminal."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from transformers.utils import logging


@contextlib.contextmanager
def no_bars() -> Iterator[None]:
    """Hide the bars of transformers while active; bars of hub downloads stay visible."""
    hook = logging.set_tqdm_hook(_undrawn)
    try:
        yield
    finally:
        logging.set_tqdm_hook(hook)


def _undrawn(make: Any, positional: Sequence[Any], named: Mapping[str, Any]) -> Any:
    return make(*positional, **{**named, "disable": True})
