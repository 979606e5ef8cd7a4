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

    Each full shard is written at once, the rest at exit, also after an exception or Ctrl-C, so
    completely added texts are kept. At most two shards are in memory. Entering the block raises
    ``StoreError`` if the folder is not writable.

    Parameters
    ----------
    folder : Path
        Folder of the entry.
    spec : BackboneSpec
        Spec of the embeddings.
    keys : sequence of str
        The rows of the arrays to be added, as ``layer:pooling``.
    shard_bytes : int
        Most bytes of embeddings in one shard, which has at least one text.
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
        self._n_texts = 0  # in the buffers, whose memory the system provides only when filled
        self._values = np.empty((len(keys), self._capacity, spec.hidden_size), np.float32)
        self._digests = np.empty(self._capacity, f"S{DIGEST_BYTES}")

    def __enter__(self) -> "ShardWriter":
        check_writable(self._folder)  # before texts are embedded in vain
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
        except StoreError as failure:  # must not replace the first error
            error.add_note(f"In addition, the last texts were not stored. {failure}")

    def add(self, texts: Texts, values: LayerArray) -> None:
        """Append texts.

        Parameters
        ----------
        texts : sequence of str, or digests
            Any number of them.
        values : float32 array of shape (row, text, hidden)
            One row per layer of the writer, in that order. They are copied.

        Raises
        ------
        ShapeError
            If the values do not match the texts, the layers or the backbone.
        StoreError
            If the disk is full or not writable; the texts of the current shard are lost.
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
            self._n_texts += n_texts  # last, so that an interrupt leaves no incomplete text
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
            prepare_entry(self._folder, self._spec)  # again, if another process pruned it meanwhile
        except StoreError:
            self._n_texts = 0  # so that the exit does not try and report it again
            raise
        self._n_texts = 0  # not reached on an interrupt, so that the exit tries again
