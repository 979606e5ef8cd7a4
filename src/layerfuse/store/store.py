"""``EmbeddingStore``: the embeddings of all texts so far, by backbone spec."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from layerfuse.core.arrays import LayerArray
from layerfuse.core.errors import LayerError
from layerfuse.core.layers import LayerRef
from layerfuse.core.spec import BackboneSpec
from layerfuse.store import entries
from layerfuse.store.digests import DigestLookup, Texts, as_digests
from layerfuse.store.entries import StoreEntry
from layerfuse.store.index import EntryIndex, set_aside, shard_paths
from layerfuse.store.shards import ShardDamagedError, open_shard
from layerfuse.store.writer import SHARD_BYTES, SHARD_TEXTS, ShardWriter


class EmbeddingStore:
    """A folder of embeddings that many processes may read and append to at once, without locks.

    Each entry is a folder named by the fingerprint of a ``BackboneSpec``, so settings that change
    the numbers lead to another entry. A damaged shard is set aside with a warning that names it,
    and its texts count as missing. So embed the texts that are ``missing``, then ``read``. If
    ``read`` detects damage, call ``missing`` again.

    Parameters
    ----------
    folder : path
        Created at the first write.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._indexes: dict[str, EntryIndex] = {}

    def missing(self, spec: BackboneSpec, refs: Sequence[LayerRef], texts: Texts) -> list[int]:
        """Find the texts that must still be embedded.

        Parameters
        ----------
        spec : BackboneSpec
            What makes the numbers.
        refs : sequence of LayerRef
            Layers of that backbone.
        texts : sequence of str, or digests
            Duplicates allowed.

        Returns
        -------
        list of int
            Ascending positions of the texts that lack any of the layers; for a repeated text, only
            its first position.

        Raises
        ------
        LayerError
            If the backbone does not have one of the layers.
        StoreError
            If the store cannot be read.
        """
        return self._index(spec.fingerprint).missing(_row_keys(spec, refs), as_digests(texts))

    def read(self, spec: BackboneSpec, refs: Sequence[LayerRef], texts: Texts) -> LayerArray:
        """Read and check embeddings; layers of one text may come from different shards.

        Parameters
        ----------
        spec : BackboneSpec
            What makes the numbers.
        refs : sequence of LayerRef
            Layers of that backbone.
        texts : sequence of str, or digests
            Duplicates allowed.

        Returns
        -------
        float32 array of shape (row, text, hidden)
            In the order of refs and texts.

        Raises
        ------
        LayerError
            If the backbone does not have one of the layers.
        StoreError
            If a text lacks a layer, for example because its shard was found damaged in this call;
            or if the store cannot be read.
        """
        keys, digests = _row_keys(spec, refs), as_digests(texts)
        values = np.empty((len(keys), len(digests), spec.hidden_size), np.float32)
        index = self._index(spec.fingerprint)
        index.read(keys, digests, values)
        entries.mark_used(index.folder)
        return values

    def disk_bytes(self, spec: BackboneSpec, texts: Texts) -> int:
        """Return the size on disk of the embeddings of some texts at all stored layers.

        Parameters
        ----------
        spec : BackboneSpec
            What makes the numbers.
        texts : sequence of str, or digests
            Duplicates count once.

        Returns
        -------
        int
            Sum of the shard sizes, each times the share of its texts that are among these.

        Raises
        ------
        StoreError
            If the store cannot be read.
        """
        return self._index(spec.fingerprint).disk_bytes(as_digests(texts))

    def writer(
        self,
        spec: BackboneSpec,
        refs: Sequence[LayerRef],
        *,
        shard_bytes: int = SHARD_BYTES,
        shard_texts: int = SHARD_TEXTS,
    ) -> ShardWriter:
        """Return a context manager whose ``add(texts, values)`` appends embeddings.

        Parameters
        ----------
        spec : BackboneSpec
            What makes the numbers.
        refs : sequence of LayerRef
            Layers of that backbone, distinct, one per row of the arrays to be added.
        shard_bytes : int
            Most bytes of embeddings in one shard.
        shard_texts : int
            Most texts in one shard.

        Returns
        -------
        ShardWriter
            To be used in a ``with`` statement.

        Raises
        ------
        LayerError
            If the backbone lacks a layer, a layer is repeated, or there is none.
        """
        keys = _row_keys(spec, refs)
        if not keys or len(set(keys)) != len(keys):
            msg = f"Expected one or more distinct layers to write, got {', '.join(keys) or 'none'}."
            raise LayerError(msg)
        folder = self.folder / spec.fingerprint
        return ShardWriter(folder, spec, keys, shard_bytes, shard_texts)

    def entries(self) -> list[StoreEntry]:
        """List the entries of the store by fingerprint, including those without a readable spec.

        Returns
        -------
        list of StoreEntry
            One per backbone spec.

        Raises
        ------
        StoreError
            If the store cannot be read.
        """
        return [self._entry(folder) for folder in entries.entry_folders(self.folder)]

    def verify(self) -> list[str]:
        """Check every byte of the store and set damaged shards aside.

        Returns
        -------
        list of str
            One line per damaged file, with its path and the damage. Empty if there is none.

        Raises
        ------
        StoreError
            If the store cannot be read.
        """
        damages = []
        for folder in entries.entry_folders(self.folder):
            if entries.read_spec(folder) is None:
                damages.append(
                    f"{folder / entries.SPEC} is damaged or absent. Writing restores it."
                )
            for path in shard_paths(folder):
                try:
                    open_shard(path).verify()
                except FileNotFoundError:  # pruned meanwhile
                    continue
                except ShardDamagedError as damage:
                    set_aside(path)
                    damages.append(str(damage))
        return damages

    def prune(
        self,
        names: Iterable[str] | None = None,
        *,
        older_than_days: float | None = None,
        everything: bool = False,
    ) -> int:
        """Remove entries, and in all entries the debris of killed processes and damage.

        Without arguments, only debris is removed. With names and an age, an entry must meet both.
        Files that a writer began in the last ten minutes stay.

        Parameters
        ----------
        names : iterable of str, optional
            Fingerprints, or names of backbones, which mean all entries of a backbone.
        older_than_days : float, optional
            Remove only entries that were neither read nor written for this long.
        everything : bool
            Remove all entries, whatever the other arguments.

        Returns
        -------
        int
            Bytes freed.

        Raises
        ------
        UnknownOptionError
            If a name is neither the fingerprint nor the backbone of an entry; nothing is removed.
        StoreError
            If a file cannot be removed.
        """
        folders = chosen = entries.entry_folders(self.folder)
        if not everything:
            wanted = names is not None or older_than_days is not None
            chosen = entries.choose(folders, names, older_than_days) if wanted else []
        freed = sum(entries.remove_entry(folder) for folder in chosen)
        return freed + sum(entries.remove_debris(f) for f in folders if f not in chosen)

    def _index(self, fingerprint: str) -> EntryIndex:
        if fingerprint not in self._indexes:
            self._indexes[fingerprint] = EntryIndex(self.folder / fingerprint)
        return self._indexes[fingerprint]

    def _entry(self, folder: Path) -> StoreEntry:
        idle_seconds = entries.idle_seconds(folder)  # first, because refresh may rename shards
        shards = self._index(folder.name).refresh()
        return StoreEntry(
            fingerprint=folder.name,
            spec=entries.read_spec(folder),
            n_texts=DigestLookup([shard.digests for shard in shards]).n_distinct,
            n_shards=len(shards),
            disk_bytes=entries.disk_bytes(folder),
            idle_seconds=idle_seconds,
        )


def _row_keys(spec: BackboneSpec, refs: Sequence[LayerRef]) -> list[str]:
    known = set(spec.refs())
    unknown = [str(ref) for ref in refs if ref not in known]
    if unknown:
        msg = (
            f"{spec.name} has no {', '.join(unknown)}. It has layers 0 to {spec.n_layers} "
            f"with pooling {', '.join(spec.poolings)}. Take layers from spec.refs()."
        )
        raise LayerError(msg)
    return [f"{ref.layer}:{ref.pooling}" for ref in refs]
