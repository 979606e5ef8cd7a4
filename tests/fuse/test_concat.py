"""concat: every block has the same weight in the head, whatever its width and scale."""

import numpy as np
import pytest

from layerfuse.fuse import Concat


def test_every_block_has_mean_squared_norm_one():
    rng = np.random.default_rng(0)
    blocks = [
        (rng.normal(size=(50, width)) * scale + 3).astype(np.float32)
        for width, scale in ((2, 1e-3), (40, 1.0), (300, 1e3))
    ]
    parts = np.split(Concat.fit(blocks).fuse(blocks), [2, 42], axis=1)
    for part in parts:
        assert np.square(part).sum(1).mean() == pytest.approx(1, rel=1e-4)


def test_a_block_counts_by_its_live_share():
    block = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    block[:, :2] = 0.1
    fused = Concat.fit([block]).fuse([block])
    assert np.square(fused).sum(1).mean() == pytest.approx(6 / 8, rel=1e-4)


def test_kernel_is_the_sum_of_the_kernels_of_the_blocks():
    rng = np.random.default_rng(0)
    blocks = [rng.normal(size=(20, width)).astype(np.float32) for width in (3, 50)]
    both = Concat.fit(blocks).fuse(blocks)
    alone = [Concat.fit([block]).fuse([block]) for block in blocks]
    np.testing.assert_allclose(both @ both.T, sum(f @ f.T for f in alone), atol=1e-5)
