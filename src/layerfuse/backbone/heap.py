"""Memory of the process: ``return_freed_memory``, ``read_all_weights``, ``allocated_bytes``."""

import ctypes
import functools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil

_PAGE_BYTES = 4096
"""Size of a memory page; if pages are larger, some are read twice."""

_PROBE_BYTES = 2**26
"""Size of a test allocation, which shows whether the C library's count covers this process. It is
more than glibc ever takes from a heap; freeing less would change where later ones are taken from.
"""


def return_freed_memory() -> None:
    """Return freed memory to the system, with glibc; with other C libraries, do nothing.

    Batches of varying lengths leave holes that glibc keeps and that later batches do not fit into:
    some megabytes per batch, hundreds in all. The call takes some milliseconds.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


def read_all_weights(model: Any) -> None:
    """Read one value of each page of the weights, so that all of them are in memory.

    A loaded file is mapped, and the system reads its pages when they are used: of a 200 MB
    embedding table, only those of the words that occurred. Otherwise measurements of memory on top
    of a model would include parts of the model.

    Parameters
    ----------
    model : PreTrainedModel
        The loaded model.
    """
    for weight in model.parameters():
        weight.detach().flatten()[:: max(1, _PAGE_BYTES // weight.element_size())].sum()


def allocated_bytes() -> int:
    """Return the number of bytes that this process has allocated and not freed.

    Unlike resident memory, it excludes freed memory that the C library keeps, which varies between
    runs. Without a count (it needs glibc from 2.33 on, and its allocator), it is the resident
    memory.

    Returns
    -------
    int
        Bytes from ``malloc`` and related functions, as used for arrays and tensors. Small Python
        objects, for which Python maps memory itself, and mapped files are not counted.
    """
    count = _counted_by_glibc()
    return psutil.Process().memory_info().rss if count is None else count()


class _Counts(ctypes.Structure):
    """``struct mallinfo2`` of glibc."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


@functools.cache
def _counted_by_glibc() -> Callable[[], int] | None:
    mallinfo2 = getattr(ctypes.CDLL(None), "mallinfo2", None) if sys.platform == "linux" else None
    if mallinfo2 is None:
        return None
    mallinfo2.restype = _Counts

    def count() -> int:
        counts = mallinfo2()
        return int(counts.uordblks + counts.hblkhd)  # in heaps, and in separate mappings

    before = count()
    probe = np.empty(_PROBE_BYTES, np.uint8)
    is_counted = count() - before > probe.nbytes / 2  # half, as other threads may free meanwhile
    return count if is_counted else None


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
