"""Embed what the store lacks, and read layers from it one at a time."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layerfuse.backbone import Backbone
from layerfuse.core.arrays import Digests, Features
from layerfuse.core.errors import StoreError
from layerfuse.core.layers import LayerEmbeddings, LayerRef
from layerfuse.store import EmbeddingStore, as_digests


@dataclass(frozen=True, slots=True, eq=False)
class StoredEmbeddings:
    """Layers of one backbone that lie in a store; a row is read when asked for.

    Make one with ``embed_to_store``.

    Parameters
    ----------
    store : EmbeddingStore
        Holds every layer of every text.
    model : Backbone
        Embeds again what the store finds damaged.
    texts : sequence of str
        In the order of the rows of features.
    digests : array of shape (text,)
        Of the texts: each layer is asked for by them, and they are computed once.
    progress : bool
        Show a progress bar where something is embedded.
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
        """Return some of the texts, by their positions."""
        texts, digests = self.texts[start:stop], self.digests[start:stop]
        return dataclasses.replace(self, texts=texts, digests=digests)

    def take(self, positions: np.ndarray) -> "StoredEmbeddings":
        """Return some of the texts, in the order given."""
        texts = [self.texts[i] for i in positions.tolist()]
        return dataclasses.replace(self, texts=texts, digests=self.digests[positions])

    def row(self, ref: LayerRef) -> Features:
        """Return the (text, hidden) matrix of one layer."""
        return self.read((ref,)).row(ref)

    def read(self, refs: tuple[LayerRef, ...]) -> LayerEmbeddings:
        """Return some of the layers in memory.

        Raises
        ------
        StoreError
            If the disk refuses.
        """
        try:
            values = self.store.read(self.model.spec, refs, self.digests)
        except StoreError:
            # Damage shows when a layer is read; what was in that shard is then missing.
            if not self.fill():
                raise
            values = self.store.read(self.model.spec, refs, self.digests)
        return LayerEmbeddings(values, refs)

    def fill(self) -> int:
        """Embed at all layers the texts that the store lacks, shard by shard.

        Returns
        -------
        int
            Number of texts embedded.

        Raises
        ------
        StoreError
            If the store cannot be written, for example because the disk is full.
        """
        self.model.check_unchanged()  # where the store lacks nothing, the model is not asked
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
    """Embed at all layers the texts that the store does not hold yet.

    Parameters
    ----------
    backbone : Backbone
        Run once for each distinct text that is missing.
    texts : sequence of str
        All texts wanted.
    store : EmbeddingStore
        What is written to it stays, even if the process is killed.
    progress : bool
        Show a progress bar if standard error is a terminal.

    Returns
    -------
    StoredEmbeddings
        All texts at all layers.

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
