"""residual and cooccurrence equal naive loops; quaternions obey Hamilton's table."""

import numpy as np
import pytest

from layerfuse.core.layers import LayerRef
from layerfuse.core.supervision import Supervision
from layerfuse.fuse import FUSIONS, Cooccurrence, Mean
from layerfuse.fuse.cooccurrence import inner_products, power_normalised
from layerfuse.fuse.residual import combine
from layerfuse.fuse.sources import CommonAxes

REFS = tuple(LayerRef(name, 1, "mean") for name in ("a", "b", "c"))


def blocks_of(n_texts=40, seed=0):
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n_texts, 3))
    return [
        (shared @ rng.normal(size=(3, w)) + rng.normal(size=(n_texts, w))).astype(np.float32)
        for w in (5, 9, 7)
    ]


def naive(one, other, operation):
    if operation == "sum":
        return np.array([a + b for a, b in zip(one, other, strict=True)])
    if operation == "hadamard":
        return np.array([a * b for a, b in zip(one, other, strict=True)])
    made = np.zeros(256)
    if operation == "matmul":
        for i in range(16):
            for j in range(16):
                made[16 * i + j] = sum(one[16 * i + k] * other[16 * k + j] for k in range(16))
        return made
    # 1, i, j, k: sign and unit of row times column.
    table = [
        [(1, 0), (1, 1), (1, 2), (1, 3)],
        [(1, 1), (-1, 0), (1, 3), (-1, 2)],
        [(1, 2), (-1, 3), (-1, 0), (1, 1)],
        [(1, 3), (1, 2), (-1, 1), (-1, 0)],
    ]
    for q in range(0, 256, 4):
        for row in range(4):
            for column in range(4):
                sign, unit = table[row][column]
                made[q + unit] += sign * one[q + row] * other[q + column]
    return made


@pytest.mark.parametrize("operation", ["sum", "hadamard", "matmul", "quaternion"])
def test_pairs_are_those_of_naive_loops(operation):
    one, other = np.random.default_rng(0).normal(size=(2, 3, 256))
    made = combine(one, other, operation)
    for i in range(3):
        np.testing.assert_allclose(made[i], naive(one[i], other[i], operation), atol=1e-12)


def test_quaternions_keep_norms_and_do_not_commute():
    one, other = np.random.default_rng(0).normal(size=(2, 3, 256))
    norms = [np.linalg.norm(q.reshape(3, 64, 4), axis=2) for q in (one, other)]
    made = combine(one, other, "quaternion")
    np.testing.assert_allclose(np.linalg.norm(made.reshape(3, 64, 4), axis=2), norms[0] * norms[1])
    assert not np.allclose(made, combine(other, one, "quaternion"))


@pytest.mark.parametrize("operation", ["sum", "hadamard", "matmul", "quaternion"])
def test_raw_blocks_stand_beside_a_block_of_pairs_of_the_same_strength(operation):
    blocks, labels = blocks_of(), np.arange(40) % 2
    supervision = Supervision.of(labels)
    fusion, vectors = FUSIONS[f"residual_{operation}"].fit_fuse(blocks, REFS, supervision)
    raw, pairs = vectors[:, :21], vectors[:, 21:]
    plain, _ = FUSIONS["concat"].fit_fuse(blocks, REFS, supervision)
    np.testing.assert_allclose(raw, plain.fuse(blocks), atol=1e-6)
    sources = [*fusion.common.scores(raw)]
    made = [combine(sources[i], sources[j], operation) for i, j in ((0, 1), (0, 2), (1, 2))]
    mean = np.mean(made, axis=0)
    deviation = mean.std(0)
    want = np.where(deviation > 1e-4, (mean - mean.mean(0)) / np.maximum(deviation, 1e-4), 0) / 16
    np.testing.assert_allclose(pairs, want, atol=2e-3)
    assert np.square(pairs).sum(1).mean() == pytest.approx(np.mean(deviation > 1e-4), rel=0.02)


def test_cooccurrence_is_that_of_naive_loops():
    stack = np.random.default_rng(0).normal(size=(4, 3, 6))
    found = inner_products(stack)
    for t in range(4):
        want = [stack[t, i] @ stack[t, j] for i in range(3) for j in range(i, 3)]
        np.testing.assert_allclose(found[t], want)
    normalised = power_normalised(found.astype(np.float32), 0.7)
    np.testing.assert_allclose(normalised, 2 / (1 + np.exp(-0.7 * found)) - 1, atol=1e-6)
    assert np.abs(normalised).max() < 1


def test_cooccurrence_stands_beside_the_mean():
    blocks = blocks_of()
    fusion, vectors = Cooccurrence.fit_fuse(blocks, REFS, Supervision.of(np.arange(40) % 2))
    mean, _ = Mean.fit_fuse(blocks, REFS, Supervision.of(np.arange(40) % 2))
    np.testing.assert_allclose(vectors[:, :21], mean.fuse(blocks), atol=1e-6)
    assert vectors.shape[1] == fusion.out_width == 21 + 6
    assert np.square(vectors[:, 21:]).sum(1).mean() == pytest.approx(1, rel=1e-3)


def test_products_that_are_zero_but_for_rounding_say_nothing():
    """With one axis per feature, no two blocks have an axis in common."""
    blocks = blocks_of()
    fusion, vectors = Cooccurrence.fit_fuse(blocks, REFS, Supervision.of(np.arange(40) % 2))
    within = [i == j for i in range(3) for j in range(i, 3)]
    np.testing.assert_array_equal(fusion.standardizer.scale > 0, within)
    np.testing.assert_array_equal(vectors[:, 21:].any(0), within)


def test_parts_on_common_axes_sum_to_the_principal_components():
    blocks = blocks_of()
    common = CommonAxes.fit(blocks, np.array([0, 1, 0]), 10, 0)
    fused = common.concat.fuse(blocks)
    parts = [*common.scores(fused)]
    assert [part.shape for part in parts] == [(40, 10)] * 2
    _, singular, axes = np.linalg.svd(fused, full_matrices=False)
    np.testing.assert_allclose(np.linalg.norm(sum(parts), axis=0), singular[:10], rtol=1e-3)
    overlap = np.abs(np.diag(axes[:10] @ common.axes))
    np.testing.assert_allclose(overlap, 1, atol=1e-2)


def test_axes_without_variance_are_zero():
    blocks = blocks_of(4)
    common = CommonAxes.fit(blocks, np.array([0, 1, 2]), 10, 0)
    np.testing.assert_array_equal(common.axes.any(0), np.arange(10) < 3)


@pytest.mark.parametrize("operation", ["sum", "hadamard", "matmul", "quaternion"])
def test_new_texts_are_no_larger_than_known_ones_where_means_are_large(operation):
    """With fewer texts than axes, one axis has no variance but survives by rounded means."""
    rng = np.random.default_rng(0)
    means = [rng.normal(size=300) * 3000 for _ in range(2)]  # first tokens have such dimensions

    def draw(n_texts):
        return [(mean + rng.normal(size=(n_texts, 300))).astype(np.float32) for mean in means]

    known, new = draw(30), draw(200)
    labels = np.arange(30) % 2
    fusion, vectors = FUSIONS[f"residual_{operation}"].fit_fuse(
        known, REFS[:2], Supervision.of(labels)
    )
    pairs = vectors[:, 600:], fusion.fuse(new)[:, 600:]
    assert np.abs(pairs[1]).max() < 5 * np.abs(pairs[0]).max()


def test_cooccurrence_sees_known_texts_as_it_sees_new_ones():
    """Axes of few texts span these fully, but new texts only in part."""
    rng = np.random.default_rng(0)
    blocks = [rng.normal(size=(440, 300)).astype(np.float32) for _ in range(3)]
    labels = np.arange(40) % 2
    fusion, vectors = Cooccurrence.fit_fuse([b[:40] for b in blocks], REFS, Supervision.of(labels))
    known, new = vectors[:, 900:], fusion.fuse([b[40:] for b in blocks])[:, 900:]
    apart = np.abs(known.mean(0) - new.mean(0)) / known.std(0)
    assert apart.max() < 1.5
