"""Memory that was freed between what is still held goes back to the system."""

import ctypes
import sys

import numpy as np
import psutil
import pytest

from layerfuse.backbone.heap import return_freed_memory

GLIBC = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim")


@pytest.mark.skipif(not GLIBC, reason="only glibc can give memory back")
def test_holes_between_what_is_held_are_given_back():
    process = psutil.Process()
    return_freed_memory()
    blocks = [np.ones(8_000) for _ in range(2_000)]  # 64 KB each: too small to be mapped alone
    held = blocks[::20]
    del blocks
    before = process.memory_info().rss
    return_freed_memory()
    assert before - process.memory_info().rss > 64_000 * 1_000
    assert all(block.sum() == 8_000 for block in held)
