"""What holds for every fusion, found by reflection so that a new one cannot be forgotten."""

from typing import get_args

import numpy as np
import pytest

from layerfuse.core.errors import ShapeError
from layerfuse.core.layers import LayerRef
from layerfuse.fuse import FUSIONS, FusionName, Supervision

FUSION = pytest.mark.parametrize("fusion", sorted(FUSIONS))

# Interleaved, so that a fusion which groups by position would mix backbones.
REFS = (
    LayerRef("wide", 9, "mean"),
    LayerRef("narrow", 2, "mean"),
    LayerRef("wide", 8, "mean"),
    LayerRef("wide", 9, "last"),
    LayerRef("narrow", 3, "mean"),
)
WIDTHS = {"wide": 7, "narrow": 3}


def blocks_of(n_texts=60, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return [
        (rng.normal(size=(n_texts, WIDTHS[ref.backbone])) * (10 + i) - 5 * i).astype(dtype)
        for i, ref in enumerate(REFS)
    ]


def fitted_by(fusion, blocks, refs):
    return FUSIONS[fusion].fit_fuse(blocks, refs, Supervision.of(np.arange(len(blocks[0])) % 3))[0]


def with_dead(blocks):
    blocks = [block.copy() for block in blocks]
    blocks[0][:, 2] = 0.1
    blocks[1][:, 0] = 0
    blocks[2][:, 2] = -3
    return blocks


def standardised(train, blocks):
    """Each block by its own mean and deviation, divided by the root of its width; dead is zero."""
    done = []
    for fitted, block in zip(train, blocks, strict=True):
        deviation = fitted.std(0, dtype=np.float64)
        dead = deviation < 1e-5
        scaled = (block - fitted.mean(0, dtype=np.float64)) / np.where(dead, 1, deviation)
        done.append(np.where(dead, 0, scaled) / np.sqrt(fitted.shape[1]))
    return done


def plain_concat(train, blocks):
    return np.hstack(standardised(train, blocks))


def plain_mean(train, blocks):
    wide_a, narrow_a, wide_b, last, narrow_b = standardised(train, blocks)
    return np.hstack([(wide_a + wide_b) / 2, (narrow_a + narrow_b) / 2, last])


PLAIN = {"concat": plain_concat, "mean": plain_mean}


def test_every_fusion_has_a_name_and_a_plain_version_here():
    assert set(FUSIONS) == set(get_args(FusionName)) == set(PLAIN)


@FUSION
@pytest.mark.parametrize("change", [list, with_dead])
def test_equals_the_plain_version_on_train_and_test(fusion, change):
    train, test = change(blocks_of()), blocks_of(9, seed=1)
    fitted = fitted_by(fusion, train, REFS)
    for blocks in (train, test):
        want = PLAIN[fusion](train, blocks)
        np.testing.assert_allclose(fitted.fuse(blocks), want, atol=1e-5)


@FUSION
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shape_and_dtype(fusion, dtype):
    fitted = fitted_by(fusion, blocks_of(dtype=dtype), REFS)
    fused = fitted.fuse(blocks_of(9, dtype=dtype))
    assert fused.shape == (9, fitted.out_width)
    assert fused.dtype == np.float32
    assert type(fitted.out_width) is int


@FUSION
@pytest.mark.parametrize("n_texts", [1, 0])
def test_one_text_or_none_can_be_fused(fusion, n_texts):
    fitted = fitted_by(fusion, blocks_of(), REFS)
    assert fitted.fuse(blocks_of(n_texts)).shape == (n_texts, fitted.out_width)


@FUSION
def test_arrays_are_the_whole_state(fusion):
    fitted = fitted_by(fusion, with_dead(blocks_of()), REFS)
    arrays = {name: array.copy() for name, array in fitted.arrays().items()}
    again = FUSIONS[fusion].from_arrays(arrays)
    assert again.out_width == fitted.out_width
    np.testing.assert_array_equal(again.fuse(blocks_of(9)), fitted.fuse(blocks_of(9)))
    assert again.arrays().keys() == arrays.keys()
    for name, array in again.arrays().items():
        assert isinstance(array, np.ndarray)
        assert array.dtype == arrays[name].dtype
        np.testing.assert_array_equal(array, arrays[name])


@FUSION
def test_a_single_block_has_mean_squared_norm_one(fusion):
    block = blocks_of()[:1]
    fused = fitted_by(fusion, block, REFS[:1]).fuse(block)
    assert np.square(fused).sum(1).mean() == pytest.approx(1, rel=1e-4)


@FUSION
def test_dead_dimensions_are_zero_even_where_they_wake_up(fusion):
    block = blocks_of()[:1]
    block[0][:, 2] = 0.1
    fitted = fitted_by(fusion, block, REFS[:1])
    for blocks in (block, blocks_of(9, seed=1)[:1]):
        fused = fitted.fuse(blocks)
        np.testing.assert_array_equal(fused[:, 2], 0)
        assert np.isfinite(fused).all()


@FUSION
def test_only_dead_dimensions_are_all_zero(fusion):
    blocks = [np.full_like(block, 0.1) for block in blocks_of()]
    np.testing.assert_array_equal(fitted_by(fusion, blocks, REFS).fuse(blocks), 0)


@FUSION
@pytest.mark.parametrize(
    "wrong",
    [
        lambda blocks: blocks[:-1],
        lambda blocks: [*blocks, blocks[0]],
        lambda blocks: blocks[::-1],
        lambda blocks: [blocks[0][:, :-1], *blocks[1:]],
        lambda blocks: [],
    ],
)
def test_blocks_of_other_widths_are_refused(fusion, wrong):
    fitted = fitted_by(fusion, blocks_of(), REFS)
    with pytest.raises(ShapeError, match=r"blocks of widths \[7, 3, 7, 7, 3\], got \["):
        fitted.fuse(wrong(blocks_of()))


@FUSION
def test_blocks_of_other_texts_are_refused(fusion):
    """NumPy would repeat the one text of the last block for all."""
    fitted = fitted_by(fusion, blocks_of(), REFS)
    with pytest.raises(ShapeError, match=r"same texts in all blocks, got \[9, 9, 9, 9, 1\]"):
        fitted.fuse([*blocks_of(9)[:-1], blocks_of(1)[-1]])


@FUSION
def test_a_text_is_fused_alike_in_any_company(fusion):
    fitted = fitted_by(fusion, blocks_of(), REFS)
    test = blocks_of(9, seed=1)
    outlier = [np.vstack([block, np.full_like(block[:1], 1e6)]) for block in test]
    np.testing.assert_array_equal(fitted.fuse(outlier)[:-1], fitted.fuse(test))
    one_by_one = [fitted.fuse([block[i : i + 1] for block in test]) for i in range(9)]
    np.testing.assert_array_equal(np.vstack(one_by_one), fitted.fuse(test))


@FUSION
def test_fusing_changes_neither_state_nor_blocks(fusion):
    fitted = fitted_by(fusion, blocks_of(), REFS)
    state = {name: array.copy() for name, array in fitted.arrays().items()}
    test = blocks_of(9, seed=1)
    fitted.fuse(test)
    for name, array in fitted.arrays().items():
        np.testing.assert_array_equal(array, state[name])
    for block, before in zip(test, blocks_of(9, seed=1), strict=True):
        np.testing.assert_array_equal(block, before)


@FUSION
def test_order_of_training_texts_does_not_matter(fusion):
    blocks = blocks_of()
    order = np.random.default_rng(0).permutation(60)
    one = fitted_by(fusion, blocks, REFS)
    other = fitted_by(fusion, [block[order] for block in blocks], REFS)
    np.testing.assert_allclose(one.fuse(blocks), other.fuse(blocks), atol=1e-6)
