"""``Trial``: a fitted classifier with its embedded texts, on which baselines are fitted too."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from layerfuse.backbone import Backbone
from layerfuse.classifier import FusionClassifier
from layerfuse.classifier.blocks import read_blocks
from layerfuse.classifier.fusing import fuse_and_train
from layerfuse.classifier.supervise import supervise
from layerfuse.core.arrays import Block, ClassIndices, Targets
from layerfuse.core.layers import LayerRef, LayerRows
from layerfuse.core.standardize import Standardizer
from layerfuse.core.supervision import Supervision
from layerfuse.extract import StoredEmbeddings, embed_to_store
from layerfuse.fuse import Fusion, FusionName
from layerfuse.report.split import Split
from layerfuse.store import EmbeddingStore
from layerfuse.train import PooledHead

_TEXTS = 8192  # test texts fused at once

ReadBlocks = Callable[[Sequence[LayerRows], Sequence[LayerRef]], Sequence[Block]]


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """A classifier that was fitted on the training texts of a split.

    Parameters
    ----------
    split : Split
        Training and test texts.
    classifier : FusionClassifier
        Classifier fitted on the training texts.
    train, test : sequence of StoredEmbeddings
        Embeddings of the texts at all layers, one per backbone in the same order.
    supervision : Supervision
        Labels of the training texts, as the classifier saw them.
    """

    split: Split
    classifier: FusionClassifier
    train: Sequence[StoredEmbeddings]
    test: Sequence[StoredEmbeddings]
    supervision: Supervision

    @classmethod
    def fit(
        cls,
        classifier: FusionClassifier,
        split: Split,
        train: Sequence[StoredEmbeddings],
        test: Sequence[StoredEmbeddings],
    ) -> "Trial":
        """Fit a classifier in place on texts that are already embedded.

        Parameters
        ----------
        classifier : FusionClassifier
            Classifier to fit; its parameters are restored afterwards.
        split, train, test
            As in ``Trial``.
        """
        before = {"backbones": classifier.backbones, "cache": classifier.cache}
        models = [stored.model for stored in train]
        classifier.set_params(backbones=models, cache=train[0].store.folder)
        try:
            classifier.fit(split.texts, split.labels)
        finally:
            classifier.set_params(**before)
        labels = class_indices(split.labels, classifier.classes_)
        parameters = classifier.get_params(deep=False)
        supervision = supervise(  # without warnings, because the fit has given them
            split.texts, labels, classifier.classes_, parameters, warn=False
        )
        return cls(split, classifier, train, test, supervision)

    def again(self, random_state: int, rows: Sequence[int] | None = None) -> "Trial":
        """Fit another classifier with the same parameters.

        Parameters
        ----------
        random_state : int
            Seed of its folds and samples.
        rows : sequence of int, optional
            Positions of its training texts. Default: all.
        """
        split = self.split if rows is None else self.split.of_rows(rows)
        return self._fitted(split, random_state)

    def on(self, split: Split) -> "Trial":
        """Fit another classifier with the same parameters on a split of the same texts."""
        return self._fitted(split, self.classifier.random_state)

    def _fitted(self, split: Split, random_state: int) -> "Trial":
        parameters = self.classifier.get_params(deep=False)
        parameters |= {"random_state": random_state, "progress": False}
        sides = embed_split(split, [stored.model for stored in self.train], self.train[0].store)
        return Trial.fit(FusionClassifier(**parameters), split, *sides)

    @property
    def truth(self) -> ClassIndices:
        """Class indices of the test texts."""
        return class_indices(self.split.test_labels, self.classifier.classes_)

    def result(self, *, lexical: bool = True) -> Targets:
        """Return the classifier's probabilities (test text, class).

        Parameters
        ----------
        lexical : bool
            Include the TF-IDF head, if the classifier has it.
        """
        fitted = self.classifier
        head = fitted.head_ if lexical else fitted.head_.without_words()
        return self._probabilities(fitted.fusion_, head, fitted.selection_.refs, read_blocks)

    def predict(
        self,
        refs: Sequence[LayerRef],
        fusion: FusionName = "concat",
        read: ReadBlocks = read_blocks,
        *,
        lexical: bool = False,
    ) -> Targets:
        """Train on some layers, with the same choice of heads as the classifier, and predict.

        Parameters
        ----------
        refs : sequence of LayerRef
            Layers to use.
        fusion : FusionName
            Fusion of the layers.
        read : callable
            Returns the blocks of layers, given embeddings and layers.
        lexical : bool
            Include a TF-IDF head.

        Returns
        -------
        array of shape (test text, class)
            Probabilities; the class shares if all training texts have the same vector, as at layer
            0 under ``first``.
        """
        blocks = read(self.train, refs)
        if not any(Standardizer.fit(block).scale.any() for block in blocks):
            return class_shares(self.supervision, len(self.split.test_texts))
        fused = fuse_and_train(
            blocks,
            refs,
            self.split.texts,
            self.supervision,
            fusion=fusion,
            head=self.classifier.head,
            lexical=lexical,
        )
        return self._probabilities(fused.fusion, fused.head, refs, read)

    def _probabilities(
        self, fusion: Fusion, head: PooledHead, refs: Sequence[LayerRef], read: ReadBlocks
    ) -> Targets:
        parts = self.test_parts(refs, read)
        return np.concatenate([head.probabilities(fusion.fuse(blocks), t) for t, blocks in parts])

    def test_parts(
        self, refs: Sequence[LayerRef], read: ReadBlocks = read_blocks
    ) -> Iterator[tuple[Sequence[str], Sequence[Block]]]:
        """Yield test texts with their blocks, 8,192 at a time to limit memory.

        Parameters
        ----------
        refs : sequence of LayerRef
            Layers to read.
        read : callable
            Returns the blocks of layers, given embeddings and layers.
        """
        for start in range(0, len(self.split.test_texts), _TEXTS):
            stop = start + _TEXTS
            part = [embeddings.part(start, stop) for embeddings in self.test]
            yield self.split.test_texts[start:stop], read(part, refs)

    def rows_of(self, ref: LayerRef) -> tuple[np.ndarray, np.ndarray]:
        """Return the embeddings of training and test texts at one layer, each (text, hidden)."""
        train, test = (
            next(stored for stored in side if stored.backbone == ref.backbone)
            for side in (self.train, self.test)
        )
        return train.row(ref), test.row(ref)

    def accuracy(self, probabilities: Targets) -> float:
        """Return the share of test texts predicted correctly."""
        return float((probabilities.argmax(1) == self.truth).mean())


def embed_split(
    split: Split, backbones: Sequence[Backbone], store: EmbeddingStore, *, progress: bool = False
) -> tuple[list[StoredEmbeddings], list[StoredEmbeddings]]:
    """Embed training and test texts at all layers; stored embeddings are reused."""
    train, test = (
        [embed_to_store(backbone, texts, store, progress=progress) for backbone in backbones]
        for texts in (split.texts, split.test_texts)
    )
    return train, test


def class_shares(supervision: Supervision, n_texts: int) -> Targets:
    """Return the weighted class shares of the training texts, once for each text."""
    shares = np.bincount(supervision.labels, weights=supervision.weights)
    return np.tile(shares / shares.sum(), (n_texts, 1))


def class_indices(labels: Sequence[object], classes: np.ndarray) -> ClassIndices:
    """Return the position of each label in the sorted classes, which must contain it."""
    indices: ClassIndices = np.searchsorted(classes, np.asarray(labels))
    return indices
