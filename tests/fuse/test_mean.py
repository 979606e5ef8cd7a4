"""mean: layers of a backbone and pooling are averaged; other layers are concatenated."""

import numpy as np

from layerfuse.core.layers import LayerRef
from layerfuse.core.supervision import Supervision
from layerfuse.fuse import Concat, Mean


def fitted_mean(blocks, refs):
    return Mean.fit_fuse(blocks, refs, Supervision.of(np.arange(30) % 2))[0]


def block(width, seed):
    return np.random.default_rng(seed).normal(size=(30, width)).astype(np.float32)


def test_layers_of_one_backbone_become_one_block():
    blocks = [block(4, seed) for seed in range(3)]
    refs = [LayerRef("a", i, "mean") for i in range(3)]
    fitted = fitted_mean(blocks, refs)
    assert fitted.out_width == 4
    parts = [Concat.fit([one]).fuse([one]) for one in blocks]
    np.testing.assert_allclose(fitted.fuse(blocks), np.mean(parts, axis=0), atol=1e-6)


def test_layers_that_cancel_out_do_so_only_within_a_backbone():
    one = block(4, 0)
    same = fitted_mean([one, -one], [LayerRef("a", 1, "mean"), LayerRef("a", 2, "mean")])
    np.testing.assert_allclose(same.fuse([one, -one]), 0, atol=1e-6)
    for other in (LayerRef("b", 2, "mean"), LayerRef("a", 2, "last")):
        apart = fitted_mean([one, -one], [LayerRef("a", 1, "mean"), other])
        assert apart.out_width == 8
        assert np.abs(apart.fuse([one, -one])).max() > 0.5


def test_backbones_of_the_same_width_stay_in_order_of_first_appearance():
    blocks = [block(4, 0), block(4, 1), block(4, 2)]
    refs = [LayerRef("z", 1, "mean"), LayerRef("a", 1, "mean"), LayerRef("z", 2, "mean")]
    fused = fitted_mean(blocks, refs).fuse(blocks)
    alone = fitted_mean([blocks[1]], [refs[1]]).fuse([blocks[1]])
    np.testing.assert_array_equal(fused[:, 4:], alone)
