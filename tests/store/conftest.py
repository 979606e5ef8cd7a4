"""Embeddings whose right values are known by arithmetic, from the text alone."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from layerfuse.core.layers import LayerRef
from layerfuse.core.spec import BackboneSpec
from layerfuse.store import EmbeddingStore

HIDDEN = 4

Values = Callable[[Sequence[LayerRef], Sequence[str]], np.ndarray]
Fill = Callable[..., None]


@pytest.fixture
def spec() -> BackboneSpec:
    return BackboneSpec(
        name="tiny",
        weights="sha256:1",
        tokenizer="sha256:2",
        n_layers=3,
        hidden_size=HIDDEN,
        poolings=("mean", "last"),
        max_tokens=64,
    )


@pytest.fixture
def store(tmp_path: Path) -> EmbeddingStore:
    return EmbeddingStore(tmp_path / "cache")


@pytest.fixture
def values() -> Values:
    """Text "t17" under layer 2, pooling "last" has the values 17.21, 18.21, ..."""

    def make(refs: Sequence[LayerRef], texts: Sequence[str]) -> np.ndarray:
        rows = np.array([ref.layer / 10 + len(ref.pooling) / 400 for ref in refs])
        numbers = np.array([int(text[1:]) for text in texts], dtype=float)
        grid = rows[:, None, None] + numbers[:, None] + np.arange(HIDDEN)
        return grid.astype(np.float32)

    return make


@pytest.fixture
def fill(store: EmbeddingStore, spec: BackboneSpec, values: Values) -> Fill:
    """Store some texts with their right values."""

    def run(texts: Sequence[str], refs: Sequence[LayerRef] = (), shard_texts: int = 10) -> None:
        refs = refs or spec.refs()
        with store.writer(spec, refs, shard_texts=shard_texts) as writer:
            writer.add(texts, values(refs, texts))

    return run


@pytest.fixture
def shards(store: EmbeddingStore, spec: BackboneSpec) -> Callable[[], list[Path]]:
    return lambda: sorted((store.folder / spec.fingerprint).glob("*.safetensors"))
