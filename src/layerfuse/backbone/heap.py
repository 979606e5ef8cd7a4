"""What stands in memory: ``return_freed_memory`` gives back, ``read_all_weights`` brings in."""

import ctypes
import functools
import sys
from collections.abc import Callable
from typing import Any

_PAGE_BYTES = 4096
"""Of memory; where pages are larger, some are read twice."""


def return_freed_memory() -> None:
    """Give the system back what this process has freed, where the C library can.

    Batches of ever other lengths leave holes that glibc keeps and no later batch fits into: some
    megabytes a batch, hundreds over a corpus. Costs some milliseconds. Does nothing with another C
    library than glibc.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


def read_all_weights(model: Any) -> None:
    """Read one value of each page of the weights, so that all of them stand in memory.

    A loaded file is mapped, and the system brings its pages in as they are used: of an embedding
    table of 200 MB those of the words that have occurred. Memory that is measured above a model
    would else hold parts of the model.

    Parameters
    ----------
    model : PreTrainedModel
        Loaded.
    """
    for weight in model.parameters():
        weight.detach().flatten()[:: max(1, _PAGE_BYTES // weight.element_size())].sum()


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
