"""Streamed blocks and vectors give the same results as arrays, without being in memory whole."""

import numpy as np
import pytest

from layerfuse.core.blocks import StreamedBlocks
from layerfuse.core.vectors import StreamedVectors


@pytest.fixture
def whole():
    return np.random.default_rng(0).normal(1, 2, size=(30, 9)).astype(np.float32)


@pytest.fixture
def streamed(whole):
    return StreamedVectors(30, (2, 3, 4), lambda: iter(np.split(whole, [2, 5], axis=1)))


def test_vectors_are_those_of_the_whole(whole, streamed):
    axes = np.random.default_rng(1).normal(size=(9, 5)).astype(np.float32)
    assert (len(streamed), streamed.shape) == (30, (30, 9))
    np.testing.assert_allclose(streamed.mean(), whole.mean(0), rtol=1e-6)
    np.testing.assert_array_equal(streamed.rows(np.array([7, 3])), whole[[7, 3]])
    np.testing.assert_allclose(streamed @ axes, whole @ axes, rtol=1e-5, atol=1e-5)


def test_blocks_are_read_when_asked_for_and_not_kept():
    asked = []

    def reader(i):
        def read():
            asked.append(i)
            return np.full((2, 1), i, dtype=np.float32)

        return read

    blocks = StreamedBlocks([reader(i) for i in range(3)])
    assert (len(blocks), asked) == (3, [])
    assert blocks[1][0, 0] == 1
    assert [block[0, 0] for block in blocks] == [0, 1, 2]
    assert [block[0, 0] for block in blocks[1:]] == [1, 2]
    assert asked == [1, 0, 1, 2, 1, 2]
