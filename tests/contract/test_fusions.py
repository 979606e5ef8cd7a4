"""What holds for every fusion, found by reflection so that a new one cannot be forgotten."""

import subprocess
import sys
from functools import cache
from typing import get_args

import numpy as np
import pytest

from layerfuse.core.errors import FeatureError, SelectionError, ShapeError
from layerfuse.core.layers import LayerRef
from layerfuse.core.supervision import Supervision
from layerfuse.fuse import FUSIONS, FusionName, GatedFusion
from layerfuse.fuse.concat import Concat
from layerfuse.learn import Schedule

FUSION = pytest.mark.parametrize("fusion", sorted(FUSIONS))

PAIRS = {f"residual_{operation}" for operation in ("sum", "hadamard", "matmul", "quaternion")}
"""Those that combine sources, and so need two."""

BY_CLASS = {"experts": 3, "stacking": 3}
"""Those that give a logit per class."""

# Interleaved, so that a fusion which groups by position would mix backbones.
REFS = (
    LayerRef("wide", 9, "mean"),
    LayerRef("narrow", 2, "mean"),
    LayerRef("wide", 8, "mean"),
    LayerRef("wide", 9, "last"),
    LayerRef("narrow", 3, "mean"),
)
WIDTHS = {"wide": 7, "narrow": 3}
SOURCES = ("wide:mean", "narrow:mean", "wide:last")


@pytest.fixture(scope="module", autouse=True)
def hasty():
    """Learn for a few epochs: what holds, holds for any weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("layerfuse.fuse.gate._SCHEDULE", Schedule(5e-2, batch_texts=16, max_epochs=4))
        yield


def labels_of(n_texts=60):
    return np.arange(n_texts) % 3


def blocks_of(n_texts=60, seed=0, dtype=np.float32):
    """Return blocks of other sizes and centres; one layer of the five tells the label."""
    rng = np.random.default_rng(seed)
    blocks = [
        rng.normal(size=(n_texts, WIDTHS[ref.backbone])) * (10 + i) - 5 * i
        for i, ref in enumerate(REFS)
    ]
    blocks[2][np.arange(n_texts), labels_of(n_texts)] += 40
    return [block.astype(dtype) for block in blocks]


def with_dead(blocks):
    blocks = [block.copy() for block in blocks]
    blocks[0][:, 2] = 0.1
    blocks[1][:, 0] = 0
    blocks[2][:, 2] = -3
    return blocks


def fit_fuse(fusion, blocks, refs=REFS, random_state=0):
    supervision = Supervision.of(labels_of(len(blocks[0])), random_state)
    return FUSIONS[fusion].fit_fuse(blocks, refs, supervision)


@cache
def fitted(fusion):
    """Fit once for all tests that do not change it: dead dimensions are among the blocks."""
    return fit_fuse(fusion, with_dead(blocks_of()))[0]


def test_every_fusion_has_a_name():
    assert list(FUSIONS) == list(get_args(FusionName))
    assert set(BY_CLASS) | PAIRS <= set(FUSIONS)


@FUSION
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shape_and_dtype(fusion, dtype):
    one, vectors = fit_fuse(fusion, blocks_of(dtype=dtype))
    fused = one.fuse(blocks_of(9, dtype=dtype))
    assert vectors.shape == (60, one.out_width)
    assert fused.shape == (9, one.out_width)
    assert vectors.dtype == fused.dtype == np.float32
    assert type(one.out_width) is int
    assert one.out_width == BY_CLASS.get(fusion, one.out_width)


@FUSION
def test_blocks_are_standardised_once_to_be_fused(fusion, monkeypatch):
    """It takes a copy of all of them, and on wide ones most of the time."""
    one, fuse, calls = fitted(fusion), Concat.fuse, []
    monkeypatch.setattr(Concat, "fuse", lambda *given: calls.append(1) or fuse(*given))
    one.fuse(blocks_of(9))
    assert len(calls) == 1


@FUSION
@pytest.mark.parametrize("n_texts", [1, 0])
def test_one_text_or_none_can_be_fused(fusion, n_texts):
    assert fitted(fusion).fuse(blocks_of(n_texts)).shape == (n_texts, fitted(fusion).out_width)


@FUSION
def test_arrays_are_the_whole_state(fusion):
    arrays = {name: array.copy() for name, array in fitted(fusion).arrays().items()}
    again = FUSIONS[fusion].from_arrays(arrays)
    assert again.out_width == fitted(fusion).out_width
    np.testing.assert_array_equal(again.fuse(blocks_of(9)), fitted(fusion).fuse(blocks_of(9)))
    assert again.arrays().keys() == arrays.keys()
    for name, array in again.arrays().items():
        assert isinstance(array, np.ndarray)
        assert array.dtype == arrays[name].dtype
        np.testing.assert_array_equal(array, arrays[name])


@FUSION
def test_one_source_alone_works_or_is_refused(fusion):
    blocks = [blocks_of()[0], blocks_of()[2]]
    refs = (REFS[0], REFS[2])
    if fusion in PAIRS:
        with pytest.raises(SelectionError, match=r"all layers are of wide:mean\. Add"):
            fit_fuse(fusion, blocks, refs)
    else:
        one, vectors = fit_fuse(fusion, blocks, refs)
        assert one.fuse(blocks).shape == vectors.shape
        assert np.isfinite(vectors).all()


@FUSION
def test_one_block_alone_works_or_is_refused(fusion):
    if fusion not in PAIRS:
        one, vectors = fit_fuse(fusion, blocks_of()[:1], REFS[:1])
        assert one.fuse(blocks_of()[:1]).shape == vectors.shape
        assert vectors.any()


@FUSION
def test_dead_dimensions_count_for_nothing_even_where_they_wake_up(fusion):
    test = blocks_of(9, seed=1)
    awake = [block.copy() for block in test]
    awake[0][:, 2] = 1e6
    awake[1][:, 0] = -1e6
    np.testing.assert_array_equal(fitted(fusion).fuse(awake), fitted(fusion).fuse(test))


@FUSION
def test_where_all_features_are_equal_all_vectors_are(fusion):
    blocks = [np.full_like(block, 0.1) for block in blocks_of()]
    one, vectors = fit_fuse(fusion, blocks)
    for fused in (vectors, one.fuse(blocks_of())):
        assert np.isfinite(fused).all()
        np.testing.assert_allclose(fused - fused[0], 0, atol=0.2 if fusion in BY_CLASS else 0)


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
    with pytest.raises(ShapeError, match=r"blocks of widths \[7, 3, 7, 7, 3\], got \["):
        fitted(fusion).fuse(wrong(blocks_of()))


@FUSION
def test_blocks_of_other_texts_are_refused(fusion):
    """NumPy would repeat the one text of the last block for all."""
    with pytest.raises(ShapeError, match=r"same texts in all blocks, got \[9, 9, 9, 9, 1\]"):
        fitted(fusion).fuse([*blocks_of(9)[:-1], blocks_of(1)[-1]])
    with pytest.raises(ShapeError, match="the 60 labelled texts, got 1 texts at narrow:3:mean"):
        fit_fuse(fusion, [*blocks_of()[:-1], blocks_of(1)[-1]])
    with pytest.raises(ShapeError, match=r"one block per layer, got 5 blocks for 4 layers"):
        fit_fuse(fusion, blocks_of(), REFS[:-1])


@FUSION
def test_a_layer_that_is_no_number_is_named(fusion):
    blocks = blocks_of()
    blocks[3][7, 1] = np.nan
    with pytest.raises(FeatureError, match="found NaN or infinity in wide:9:last"):
        fit_fuse(fusion, blocks)


@FUSION
def test_a_text_is_fused_alike_in_any_company(fusion):
    """To the bit where nothing is multiplied; products of matrices sum in another order."""
    one = fitted(fusion)
    test = blocks_of(9, seed=1)
    outlier = [np.vstack([block, np.full_like(block[:1], 1e4)]) for block in test]
    one_by_one = [one.fuse([block[i : i + 1] for block in test]) for i in range(9)]
    exact = fusion in {"concat", "mean", "static_gate"}
    for fused in (one.fuse(outlier)[:-1], np.vstack(one_by_one)):
        np.testing.assert_allclose(fused, one.fuse(test), atol=0 if exact else 1e-5, rtol=0)


@FUSION
def test_fusing_changes_neither_state_nor_blocks(fusion):
    state = {name: array.copy() for name, array in fitted(fusion).arrays().items()}
    test = blocks_of(9, seed=1)
    fitted(fusion).fuse(test)
    for name, array in fitted(fusion).arrays().items():
        np.testing.assert_array_equal(array, state[name])
    for block, before in zip(test, blocks_of(9, seed=1), strict=True):
        np.testing.assert_array_equal(block, before)


@FUSION
def test_the_same_again_gives_the_same_bits_and_leaves_global_seeds_alone(fusion):
    import torch

    state = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002 - it is the test
    blocks = with_dead(blocks_of())
    one, vectors = fit_fuse(fusion, blocks)
    np.testing.assert_array_equal(one.fuse(blocks), fitted(fusion).fuse(blocks))
    np.testing.assert_array_equal(vectors, fit_fuse(fusion, blocks)[1])
    np.testing.assert_array_equal(np.random.get_state()[1], state[0])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), state[1])


@FUSION
def test_classes_may_be_many_and_small(fusion):
    """Two texts each, so that most folds lack some."""
    blocks = [block[:20] for block in blocks_of()]
    supervision = Supervision.of(np.repeat(np.arange(10), 2))
    one, vectors = FUSIONS[fusion].fit_fuse(blocks, REFS, supervision)
    assert np.isfinite(vectors).all()
    assert np.isfinite(one.fuse(blocks_of(9))).all()


@FUSION
def test_weights_matter_to_those_that_learn_from_labels(fusion):
    blocks = blocks_of()
    weights = np.where(labels_of() == 0, 3.0, 1.0)
    one, _ = FUSIONS[fusion].fit_fuse(blocks, REFS, Supervision(labels_of(), weights))
    alike = np.array_equal(one.fuse(blocks), fit_fuse(fusion, blocks)[0].fuse(blocks))
    learns = {"scalar_mix", "static_gate", "gated", "attention", "experts", "stacking"}
    assert alike == (fusion not in learns)


@FUSION
def test_gates_are_named_and_sum_to_one(fusion):
    one = fitted(fusion)
    if not isinstance(one, GatedFusion):
        assert fusion in {"concat", "mean", "cooccurrence"} | PAIRS
        return
    names = one.gate_names(REFS)
    gates = one.gates(blocks_of(9, seed=1))
    assert gates.shape == (9, len(names))
    assert gates.dtype == np.float32
    assert gates.min() >= 0
    if len(names) == len(REFS):  # over the layers of each source
        assert names == tuple(map(str, REFS))
        sets = [[0, 2], [1, 4], [3]]
    else:
        assert names == SOURCES
        sets = [[0, 1, 2]]
    for members in sets:
        np.testing.assert_allclose(gates[:, members].sum(1), 1, atol=1e-5)


def test_fusing_needs_no_torch(tmp_path, subprocess_environment):
    """A saved fusion is arrays; what learned by gradient goes on in NumPy."""
    for fusion in FUSIONS:
        np.savez(tmp_path / fusion, **fitted(fusion).arrays())
    code = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from layerfuse.fuse import FUSIONS\n"
        "blocks = [np.ones((2, width), np.float32) for width in (7, 3, 7, 7, 3)]\n"
        f"for file in Path({str(tmp_path)!r}).iterdir():\n"
        "    FUSIONS[file.stem].from_arrays(dict(np.load(file))).fuse(blocks)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], env=subprocess_environment, check=True)
