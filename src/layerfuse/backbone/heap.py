"""``return_freed_memory``: what the allocator keeps for later goes back to the system."""

import ctypes
import functools
import sys
from collections.abc import Callable


def return_freed_memory() -> None:
    """Give the system back what this process has freed, where the C library can.

    Batches of ever other lengths leave holes that glibc keeps and no later batch fits into: some
    megabytes a batch, hundreds over a corpus. Costs some milliseconds. Does nothing with another C
    library than glibc.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
