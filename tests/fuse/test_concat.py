"""concat: every block meets the head at the same strength, whatever its width and scale."""

import numpy as np
import pytest

from layerfuse.core.layers import LayerRef
from layerfuse.fuse import Concat


def test_every_block_has_mean_squared_norm_one():
    rng = np.random.default_rng(0)
    blocks = [
        (rng.normal(size=(50, width)) * scale + 3).astype(np.float32)
        for width, scale in ((2, 1e-3), (40, 1.0), (300, 1e3))
    ]
    refs = [LayerRef(f"b{i}", 1, "mean") for i in range(3)]
    parts = np.split(Concat.fit(blocks, refs).fuse(blocks), [2, 42], axis=1)
    for part in parts:
        assert np.square(part).sum(1).mean() == pytest.approx(1, rel=1e-4)


def test_a_block_counts_by_its_live_share():
    block = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    block[:, :2] = 0.1
    fused = Concat.fit([block], [LayerRef("b", 1, "mean")]).fuse([block])
    assert np.square(fused).sum(1).mean() == pytest.approx(6 / 8, rel=1e-4)


def test_kernel_is_the_sum_of_the_kernels_of_the_blocks():
    rng = np.random.default_rng(0)
    blocks = [rng.normal(size=(20, width)).astype(np.float32) for width in (3, 50)]
    refs = [LayerRef("a", 1, "mean"), LayerRef("b", 1, "mean")]
    both = Concat.fit(blocks, refs).fuse(blocks)
    alone = [
        Concat.fit([block], [ref]).fuse([block]) for block, ref in zip(blocks, refs, strict=True)
    ]
    np.testing.assert_allclose(both @ both.T, sum(f @ f.T for f in alone), atol=1e-5)
