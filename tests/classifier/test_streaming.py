"""Blocks too large for memory give the same classifier; only the selected layers are read."""

from functools import partial

import numpy as np
import pytest

import layerfuse.classifier.blocks
from layerfuse.core.arrays import Block
from layerfuse.core.blocks import StreamedBlocks
from layerfuse.core.layers import LayerEmbeddings, LayerRef
from layerfuse.core.supervision import Supervision
from layerfuse.fuse import Concat


@pytest.fixture
def noisy(toy):
    """Texts of which some labels are wrong, so that no probability is 0 or 1."""
    texts, labels = toy(60, seed=0)
    return texts, [labels[i - 1] if i % 5 == 0 else labels[i] for i in range(60)]


@pytest.mark.parametrize("fusion", ["concat", "mean", "static_gate", "auto"])
def test_streamed_blocks_give_the_same_classifier(
    make, noisy, monkeypatch, fusion, tiny_encoder, tiny_decoder
):
    texts, labels = noisy
    options = {"backbones": [tiny_encoder, tiny_decoder], "selector": "upper_half", "head": "ridge"}
    held = layerfuse.classifier.blocks.read_blocks
    kinds = []

    def read(stored, refs):
        blocks = held(stored, refs, in_memory_bytes=0)
        kinds.append(type(blocks))
        return blocks

    with monkeypatch.context() as patched:
        patched.setattr("layerfuse.classifier.estimator.read_blocks", read)
        one = make(**options, fusion=fusion).fit(texts, labels)
    assert kinds == [StreamedBlocks]
    assert len(one.selection_) > 4
    other = make(**options, fusion="concat" if fusion == "auto" else fusion).fit(texts, labels)
    assert one.selection_ == other.selection_
    assert type(one.fusion_) is type(other.fusion_)
    assert [trial.fusion for trial in one.trials_] == [trial.fusion for trial in other.trials_]
    np.testing.assert_allclose(one.predict_proba(texts), other.predict_proba(texts), atol=1e-3)


def test_streamed_blocks_give_the_same_choice_of_selection(
    make, noisy, monkeypatch, tiny_encoder, tiny_decoder
):
    monkeypatch.setattr("layerfuse.classifier.options.FEWER_LAYERS_FROM_TEXTS", 60)
    options = {"backbones": [tiny_encoder, tiny_decoder], "head": "ridge"}
    other = make(**options).fit(*noisy)
    read = partial(layerfuse.classifier.blocks.read_blocks, in_memory_bytes=0)
    monkeypatch.setattr("layerfuse.classifier.estimator.read_blocks", read)
    one = make(**options).fit(*noisy)
    assert one.selection_.refs == other.selection_.refs
    assert one.selection_.reason.count("log loss") == 1
    np.testing.assert_allclose(
        one.predict_proba(noisy[0]), other.predict_proba(noisy[0]), atol=1e-3
    )


def test_blocks_are_streamed_only_if_they_exceed_memory_in_any_order():
    refs = tuple(LayerRef(name, 0, "mean") for name in ("thin", "wide"))
    rows = [
        LayerEmbeddings(np.ones((1, 5, width), np.float32), (ref,))
        for ref, width in zip(refs, (1, 100), strict=True)
    ]
    read = layerfuse.classifier.blocks.read_blocks
    n_bytes = 5 * 101 * 4
    for order in (refs, refs[::-1]):
        assert isinstance(read(rows, order, in_memory_bytes=n_bytes), list)
        streamed = read(rows, order, in_memory_bytes=n_bytes - 1)
        assert isinstance(streamed, StreamedBlocks)
        assert [block.shape[1] for block in streamed] == [rows[refs.index(r)].values.shape[2]
                                                          for r in order]  # fmt: skip


def test_concat_holds_one_streamed_block_at_a_time():
    """Counts the blocks that are alive."""
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
    vectors @ np.ones((18, 2), np.float32)
    assert vectors.shape == (20, 18)
    assert most <= 2  # a block is freed once the next one is read
