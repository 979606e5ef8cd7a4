"""Blocks too large for memory: the same classifier, and only the layers in play are read."""

import numpy as np
import pytest

import layerfuse.classifier.blocks
from layerfuse.core.arrays import Block
from layerfuse.core.blocks import StreamedBlocks
from layerfuse.core.layers import LayerEmbeddings, LayerRef
from layerfuse.fuse import Concat, Supervision


@pytest.fixture
def streaming(monkeypatch):
    """Let no block be held, and count what is read of them."""
    held = layerfuse.classifier.blocks.read_blocks
    seen: list[type] = []

    def read(stored, refs):
        blocks = held(stored, refs, in_memory_bytes=0)
        seen.append(type(blocks))
        return blocks

    monkeypatch.setattr("layerfuse.classifier.estimator.read_blocks", read)
    return seen


@pytest.mark.parametrize("fusion", ["concat", "mean", "static_gate"])
def test_a_classifier_of_streamed_blocks_is_the_same(make, toy, monkeypatch, fusion, streaming):
    texts, labels = toy(60, seed=0)
    one = make(fusion=fusion).fit(texts, labels)
    assert streaming == [StreamedBlocks]
    monkeypatch.undo()
    other = make(fusion=fusion).fit(texts, labels)
    assert one.selection_ == other.selection_
    np.testing.assert_allclose(one.predict_proba(texts), other.predict_proba(texts), atol=1e-3)


def test_what_fits_into_memory_is_held():
    refs = tuple(LayerRef("a", i, "mean") for i in range(3))
    rows = LayerEmbeddings(np.ones((3, 5, 4), np.float32), refs)
    read = layerfuse.classifier.blocks.read_blocks
    assert isinstance(read([rows], refs, in_memory_bytes=3 * 5 * 4 * 4), list)
    assert isinstance(read([rows], refs, in_memory_bytes=3 * 5 * 4 * 4 - 1), StreamedBlocks)


def test_concat_holds_one_streamed_block_at_a_time():
    """Blocks are counted while they live."""
    rng = np.random.default_rng(0)
    alive = most = 0

    class Counted(np.ndarray):
        def __del__(self):
            nonlocal alive
            alive -= getattr(self, "counts", 0)

    def read() -> Block:
        nonlocal alive, most
        block = rng.normal(size=(20, 3)).astype(np.float32).view(Counted)
        block.counts = 1
        alive += 1
        most = max(most, alive)
        return block

    refs = [LayerRef("a", i, "mean") for i in range(6)]
    blocks = StreamedBlocks([read] * 6)
    _, vectors = Concat.fit_fuse(blocks, refs, Supervision.of(np.array([0, 1] * 10)))
    vectors.project(np.ones((18, 2), np.float32))
    assert vectors.shape == (20, 18)
    assert most <= 2  # the one before is let go when the next has come
