"""Freed memory goes back to the system between what is still held; weights of a file come in."""

import ctypes
import sys

import numpy as np
import psutil
import pytest
import torch

from layerfuse.backbone.heap import read_all_weights, return_freed_memory

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


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a mapped file may count otherwise")
def test_all_weights_of_a_mapped_file_stand_in_memory(tmp_path):
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
