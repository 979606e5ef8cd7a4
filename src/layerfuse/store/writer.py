"""``ShardWriter``: streams embeddings into shards with bounded memory."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from layerfuse.core.arrays import LayerArray
from layerfuse.core.errors import ShapeError, StoreError
from layerfuse.core.spec import BackboneSpec
from layerfuse.store.digests import DIGEST_BYTES, Texts, as_digests
from layerfuse.store.entries import prepare_entry
from layerfuse.store.files import check_writable
from layerfuse.store.shards import write_shard

SHARD_BYTES = 32 << 20
SHARD_TEXTS = 4096


class ShardWriter:
    """Context manager that appends texts to one entry; get it from ``EmbeddingStore.writer``.

    A shard goes to disk whenever one is full, the rest at exit, also when an exception or Ctrl-C
    ends the block: whatever was added whole is kept. Up to two shards are held in memory. A disk
    that refuses is a ``StoreError`` already when the block is entered.

    Parameters
    ----------
    folder : Path
        The entry.
    spec : BackboneSpec
        Whose embeddings they are.
    keys : sequence of str
        The rows of every array to come, as ``layer:pooling``.
    shard_bytes : int
        Most bytes of embeddings in one shard; a shard holds one text at least.
    shard_texts : int
        Most texts in one shard.
    """

    def __init__(
        self,
        folder: Path,
        spec: BackboneSpec,
        keys: Sequence[str],
        shard_bytes: int,
        shard_texts: int,
    ) -> None:
        self._folder, self._spec, self._keys = folder, spec, keys
        text_bytes = len(keys) * spec.hidden_size * np.dtype(np.float32).itemsize
        self._capacity = max(1, min(shard_texts, shard_bytes // text_bytes))
        self._n_texts = 0  # in the buffers; the system hands out their memory as it is filled
        self._values = np.empty((len(keys), self._capacity, spec.hidden_size), np.float32)
        self._digests = np.empty(self._capacity, f"S{DIGEST_BYTES}")

    def __enter__(self) -> "ShardWriter":
        check_writable(self._folder)  # before anything is embedded, which would be lost
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._flush()
            return
        try:
            self._flush()
        except StoreError as failure:  # the first error is the one to tell
            error.add_note(f"Besides, the last texts were not stored. {failure}")

    def add(self, texts: Texts, values: LayerArray) -> None:
        """Append texts.

        Parameters
        ----------
        texts : sequence of str, or digests
            Any number of them.
        values : float32 array of shape (row, text, hidden)
            A row per layer the writer was made for, in that order. Copied.

        Raises
        ------
        ShapeError
            If the values do not fit the texts, the rows or the backbone.
        StoreError
            If the disk is full or refuses; the texts of the shard in flight are lost.
        """
        digests = as_digests(texts)
        expected = (len(self._keys), len(digests), self._spec.hidden_size)
        if values.shape != expected or values.dtype != np.float32:
            msg = (
                f"Expected float32 values (row, text, hidden) {expected}, "
                f"got {values.dtype} {values.shape}. Pass one row per layer of the writer."
            )
            raise ShapeError(msg)
        done = 0
        while done < len(digests):
            start = self._n_texts
            n_texts = min(self._capacity - start, len(digests) - done)
            self._values[:, start : start + n_texts] = values[:, done : done + n_texts]
            self._digests[start : start + n_texts] = digests[done : done + n_texts]
            self._n_texts += n_texts  # last, so that an interrupt never leaves half a text
            done += n_texts
            if self._n_texts == self._capacity:
                self._flush()

    def _flush(self) -> None:
        if not self._n_texts:
            return
        rows = {
            key: matrix[: self._n_texts]
            for key, matrix in zip(self._keys, self._values, strict=True)
        }
        try:
            prepare_entry(self._folder, self._spec)
            write_shard(self._folder, self._digests[: self._n_texts], rows)
            prepare_entry(self._folder, self._spec)  # another process may have pruned it meanwhile
        except StoreError:
            self._n_texts = 0  # told once; the exit must not try and tell again
            raise
        self._n_texts = 0  # not on an interrupt: then the exit tries again
