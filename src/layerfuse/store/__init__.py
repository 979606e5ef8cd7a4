"""Embeddings on disk: each text is embedded once, and damaged data is never returned."""

from layerfuse.store.digests import as_digests, text_digest
from layerfuse.store.entries import SHORT_FINGERPRINT, StoreEntry
from layerfuse.store.store import EmbeddingStore
from layerfuse.store.writer import ShardWriter

__all__ = [
    "SHORT_FINGERPRINT",
    "EmbeddingStore",
    "ShardWriter",
    "StoreEntry",
    "as_digests",
    "text_digest",
]
