"""Embeds texts into the store: the only package that uses both backbone and store."""

from layerfuse.extract.place import DEFAULT_CACHE, store_at
from layerfuse.extract.stored import StoredEmbeddings, embed_to_store

__all__ = ["DEFAULT_CACHE", "StoredEmbeddings", "embed_to_store", "store_at"]
