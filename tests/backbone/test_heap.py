"""Freed memory is returned, mapped weights are read, and allocated bytes are counted."""

import ctypes
import gc
import sys

import numpy as np
import psutil
import pytest
import torch

from layerfuse.backbone import heap
from layerfuse.backbone.heap import allocated_bytes, read_all_weights, return_freed_memory

COUNTS = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallinfo2")
GLIBC = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim")


@pytest.mark.skipif(not GLIBC, reason="only glibc can give memory back")
def test_freed_memory_between_live_blocks_is_returned_to_the_system():
    process = psutil.Process()
    return_freed_memory()
    blocks = [np.ones(8_000) for _ in range(2_000)]  # 64 KB each: too small to be mapped alone
    held = blocks[::20]
    del blocks
    before = process.memory_info().rss
    return_freed_memory()
    assert before - process.memory_info().rss > 64_000 * 1_000
    assert all(block.sum() == 8_000 for block in held)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a mapped file may count otherwise")
def test_reading_mapped_weights_brings_all_of_them_into_memory(tmp_path):
    n_weights = 2**23  # 32 MB, none of them read yet
    file = tmp_path / "weights"
    file.write_bytes(bytes(4 * n_weights))
    model = torch.nn.Module()
    values = torch.from_file(str(file), shared=False, size=n_weights).reshape(-1, 64)
    model.register_parameter("table", torch.nn.Parameter(values, requires_grad=False))
    process = psutil.Process()
    before = process.memory_info().rss
    read_all_weights(model)
    assert 0.9 < (process.memory_info().rss - before) / (4 * n_weights) < 1.3


@pytest.fixture
def counted_anew():
    """Clear the cached choice of counter before and after the test."""
    heap._counted_by_glibc.cache_clear()
    yield
    heap._counted_by_glibc.cache_clear()


def resident_memory():
    return psutil.Process().memory_info().rss


@pytest.mark.skipif(not COUNTS, reason="only glibc from 2.33 on counts what is allocated")
def test_allocated_bytes_leave_out_freed_memory_between_live_blocks():
    gc.collect()
    before = allocated_bytes()
    blocks = [np.ones(8_000) for _ in range(2_000)]
    assert 64_000 * 2_000 <= allocated_bytes() - before < 1.05 * 64_000 * 2_000
    held = blocks[::20]
    resident = resident_memory()
    del blocks
    assert 64_000 * 100 <= allocated_bytes() - before < 1.2 * 64_000 * 100
    assert resident - resident_memory() < 64_000 * 100  # glibc keeps nearly all
    assert len(held) == 100


@pytest.mark.skipif(not COUNTS, reason="only glibc from 2.33 on counts what is allocated")
def test_allocated_bytes_include_large_mapped_blocks():
    gc.collect()
    before = allocated_bytes()
    block = np.empty(2**27, np.uint8)
    assert allocated_bytes() - before >= block.nbytes


class Library:
    """A C library with a count that does or does not follow what is allocated."""

    def __init__(self, **functions):
        self.__dict__ |= functions


@pytest.mark.usefixtures("counted_anew")
@pytest.mark.parametrize(
    "functions",
    [
        pytest.param({}, id="no count"),
        pytest.param({"mallinfo2": lambda: heap._Counts(uordblks=7)}, id="counts nothing of ours"),
    ],
)
def test_allocated_bytes_are_resident_memory_where_no_counter_works(monkeypatch, functions):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library(**functions))
    found = allocated_bytes()
    assert found == pytest.approx(resident_memory(), rel=0.2)
