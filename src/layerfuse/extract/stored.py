"""Embeds texts that the store lacks, and reads layers from it one at a time."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from layerfuse.backbone import Backbone
from layerfuse.core.arrays import Digests, Features
from layerfuse.core.errors import StoreError
from layerfuse.core.layers import LayerEmbeddings, LayerRef, as_positions
from layerfuse.store import EmbeddingStore, as_digests


@dataclass(frozen=True, slots=True, eq=False)
class StoredEmbeddings:
    """Embeddings of texts at all layers of one backbone, read from a store on demand.

    ``embed_to_store`` creates one.

    Parameters
    ----------
    store : EmbeddingStore
        Store with all layers of all texts.
    model : Backbone
        Backbone that embeds texts again if the store finds damage.
    texts : sequence of str
        Texts in the order of the rows of features.
    digests : array of shape (text,)
        Digests of the texts, computed once for all reads.
    progress : bool
        Show a progress bar while embedding.
    """

    store: EmbeddingStore
    model: Backbone
    texts: Sequence[str]
    digests: Digests
    progress: bool = True

    @property
    def backbone(self) -> str:
        """Name of the backbone."""
        return self.model.name

    @property
    def refs(self) -> tuple[LayerRef, ...]:
        """Every layer of the backbone."""
        return self.model.refs

    @property
    def n_texts(self) -> int:
        """Number of texts."""
        return len(self.texts)

    def part(self, start: int, stop: int) -> "StoredEmbeddings":
        """Return the texts from position ``start`` up to ``stop``."""
        texts, digests = self.texts[start:stop], self.digests[start:stop]
        return dataclasses.replace(self, texts=texts, digests=digests)

    def take(self, positions: Iterable[int] | np.ndarray) -> "StoredEmbeddings":
        """Return the texts at these positions, in this order.

        Raises
        ------
        ShapeError
            If positions are not integers, as those of a mask.
        """
        index = as_positions(positions)
        texts = [self.texts[i] for i in index.tolist()]
        return dataclasses.replace(self, texts=texts, digests=self.digests[index])

    def row(self, ref: LayerRef) -> Features:
        """Return the (text, hidden) matrix of one layer."""
        return self.read((ref,)).row(ref)

    def read(self, refs: tuple[LayerRef, ...]) -> LayerEmbeddings:
        """Read some layers into memory.

        Raises
        ------
        StoreError
            If the store cannot be read.
        """
        try:
            values = self.store.read(self.model.spec, refs, self.digests)
        except StoreError:
            # Reading may detect a damaged shard, whose texts are then missing: embed them again.
            if not self.fill():
                raise
            values = self.store.read(self.model.spec, refs, self.digests)
        return LayerEmbeddings(values, refs)

    def fill(self) -> int:
        """Embed the texts that the store lacks at all layers, shard by shard.

        Returns
        -------
        int
            Number of texts embedded.

        Raises
        ------
        StoreError
            If the store cannot be written, for example because the disk is full.
        """
        self.model.check_unchanged()  # here, because stream is not called if no text is missing
        spec, refs = self.model.spec, self.refs
        todo = [self.texts[i] for i in self.store.missing(spec, refs, self.digests)]
        if todo:
            with self.store.writer(spec, refs) as writer:
                for positions, values in self.model.stream(todo, refs, progress=self.progress):
                    writer.add([todo[i] for i in positions.tolist()], values)
        return len(todo)


def embed_to_store(
    backbone: Backbone, texts: Sequence[str], store: EmbeddingStore, *, progress: bool = True
) -> StoredEmbeddings:
    """Embed the texts that the store lacks at all layers.

    Parameters
    ----------
    backbone : Backbone
        Backbone that embeds each distinct missing text once.
    texts : sequence of str
        Texts to embed.
    store : EmbeddingStore
        Store that is filled; written shards stay even if the process is killed.
    progress : bool
        Show a progress bar if standard error is a terminal.

    Returns
    -------
    StoredEmbeddings
        Embeddings of all texts at all layers.

    Raises
    ------
    BackboneChangedError
        If the tokenizer was changed in place since the backbone was loaded.
    StoreError
        If the store cannot be written, for example because the disk is full.
    """
    stored = StoredEmbeddings(store, backbone, texts, as_digests(texts), progress)
    stored.fill()
    return stored
