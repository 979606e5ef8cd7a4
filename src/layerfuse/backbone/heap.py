"""What stands in memory: ``return_freed_memory``, ``read_all_weights``, ``allocated_bytes``."""

import ctypes
import functools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil

_PAGE_BYTES = 4096
"""Of memory; where pages are larger, some are read twice."""

_PROBE_BYTES = 2**26
"""Are allocated once, to see whether the C library's count is of this process's allocations. More
than glibc ever takes from a heap: freeing less would change from where later ones are taken."""


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


def allocated_bytes() -> int:
    """Count the bytes that this process has allocated and not freed, where the C library can tell.

    Unlike resident memory it holds nothing that the C library keeps of what was freed, which is
    another amount in every run. Where nothing counts (another C library than glibc from 2.33 on,
    another allocator in its place), it is the resident memory.

    Returns
    -------
    int
        Of ``malloc`` and its like, as arrays and tensors are made; small objects of Python, for
        which it maps memory itself, and mapped files are not counted.
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
        return int(counts.uordblks + counts.hblkhd)  # within heaps, and mapped each by itself

    before = count()
    probe = np.empty(_PROBE_BYTES, np.uint8)
    follows = count() - before > probe.nbytes / 2  # other threads may free meanwhile
    return count if follows else None


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
