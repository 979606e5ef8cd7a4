"""``FusionClassifier``: a scikit-learn classifier of texts."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sklearn import base

from layerfuse.backbone import Backbone
from layerfuse.classifier import options
from layerfuse.classifier.backbones import load_named
from layerfuse.classifier.blocks import read_blocks, stream_blocks
from layerfuse.classifier.choice import propose_layers
from layerfuse.classifier.errors import NotFittedError
from layerfuse.classifier.fusing import FusionChoice, fuse_best
from layerfuse.classifier.gates import TextGates, read_gates
from layerfuse.classifier.saved import Fitted, lasting_parameters, load_fitted, save_fitted
from layerfuse.classifier.supervise import supervise
from layerfuse.core.arrays import Block, Features, Targets
from layerfuse.core.errors import ShapeError
from layerfuse.core.layers import Pooling
from layerfuse.core.scores import Criterion
from layerfuse.core.spec import Dtype
from layerfuse.core.texts import as_list, as_texts
from layerfuse.data import check_labels, index_labels
from layerfuse.extract import DEFAULT_CACHE, embed_to_store, store_at
from layerfuse.meter import Meter
from layerfuse.score import CriterionInfo, CriterionName
from layerfuse.train import HeadChoice, LexicalChoice


class FusionClassifier(
    base.ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    base.TransformerMixin,  # type: ignore[misc]
    base.ClassifierMixin,  # type: ignore[misc]
    base.BaseEstimator,  # type: ignore[misc]
):
    """Fuse layers of several frozen transformers into one text classifier.

    Parameters
    ----------
    backbones : sequence of str, path or Backbone
        Frozen models: local folders, ``.gguf`` files, packaged models or hub ids.
    criterion : CriterionName, CriterionInfo or callable
        Scores a layer for these labels; higher is better.
    selector : SelectorChoice
        Chooses layers, as in ``select_layers``. ``auto`` is ``upper_top``; from 200 texts on, one
        backbone if that clearly lowers held-out log loss; from 2,000, few layers unless more do
        (not if ``fusion`` combines sources, of which it then gets at least two).
    k : int, optional
        Number of layers, as in ``select_layers``. Default: the selector's.
    max_ms, max_mb : float, optional
        Limits of the selector ``budget``: milliseconds per text, many at once; MiB of weights.
    fusion : FusionChoice
        Fuses the chosen layers into one vector; ``auto`` compares some on held-out training texts.
    head : HeadChoice
        ``auto`` validates ridge, logistic regression and their blend on the training texts.
    lexical : "auto" or bool
        Ensemble the head with a TF-IDF head; ``auto``: if that clearly lowers held-out log loss.
    class_weight : "balanced", dict or None
        Weight of each class by label.
    prompt : str or sequence of str
        As in ``Backbone.from_pretrained``; a sequence has one prompt per backbone, in order.
    pooling, max_tokens, dtype, device, offline
        As in ``Backbone.from_pretrained``. Loaded backbones must match in the first three.
    cache : str, path or None
        Folder in which ``fit`` caches embeddings, so that no text is embedded twice. ``default`` is
        the user's cache; None caches nothing. ``predict`` neither reads nor writes it.
    progress : bool
        Show progress bars if standard error is a terminal.
    random_state : int
        Seed of folds and samples, which are drawn by position: they depend on the texts' order.

    Attributes
    ----------
    classes_ : array of shape (class,)
        Sorted labels, in the type of ``y``.
    scores_ : LayerScores
        Scores of every layer of every backbone.
    selection_ : Selection
        The layers in use.
    head_ : PooledHead
        The fitted head, with the TF-IDF head if it is in the ensemble.
    validation_ : tuple of HeadCandidate
        Held-out quality of each head that was tried, on the training texts. The layers were chosen
        on all of these texts, so it is optimistic for few texts.
    trials_ : tuple of FusionTrial
        Held-out quality of each fusion that was tried.
    backbones_ : dict of str to Backbone
        Backbones in use, each cut at its deepest layer in use.
    portable_ : bool
        Whether it was loaded with its backbones; ``save`` then includes them.
    text_column_ : str or None
        Table column of the training texts, for ``layerfuse predict``; set by the caller of ``fit``.
    overhead_ : Overhead
        Cost of ``fit``, with the number of parameters in use.

    Examples
    --------
    >>> FusionClassifier(["all-MiniLM-L6-v2", "smollm2-135m"]).get_params()["fusion"]
    'concat'
    """

    def __init__(
        self,
        backbones: Sequence[str | PathLike[str] | Backbone] = (),
        *,
        criterion: CriterionName | CriterionInfo | Criterion = "loo_ridge",
        selector: options.SelectorChoice = "auto",
        k: int | None = None,
        max_ms: float | None = None,
        max_mb: float | None = None,
        fusion: FusionChoice = "concat",
        head: HeadChoice = "auto",
        lexical: LexicalChoice = "auto",
        class_weight: Literal["balanced"] | Mapping[Any, float] | None = None,
        prompt: str | Sequence[str] = "",
        pooling: Pooling | Sequence[Pooling] | None = None,
        max_tokens: int | None = None,
        dtype: Dtype = "float32",
        device: str | None = None,
        offline: bool = False,
        cache: str | PathLike[str] | None = DEFAULT_CACHE,
        progress: bool = True,
        random_state: int = 0,
    ) -> None:
        self.backbones = backbones
        self.criterion = criterion
        self.selector = selector
        self.k = k
        self.max_ms = max_ms
        self.max_mb = max_mb
        self.fusion = fusion
        self.head = head
        self.lexical = lexical
        self.class_weight = class_weight
        self.prompt = prompt
        self.pooling = pooling
        self.max_tokens = max_tokens
        self.dtype = dtype
        self.device = device
        self.offline = offline
        self.cache = cache
        self.progress = progress
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that X is a column of texts."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array = True, False
        return tags

    def fit(self, X: Any, y: Any) -> "FusionClassifier":  # noqa: N803 - scikit-learn's names
        """Embed, score, select, fuse and train on these texts only.

        Parameters
        ----------
        X : column of str
            A list, NumPy array, pandas Series or pyarrow array.
        y : column of str, int or bool
            At least two classes with two texts or more. Further classes may have one text.

        Raises
        ------
        DataError, LabelError
            If texts or labels are invalid.
        UnknownOptionError
            If an option has an unknown value; raised before anything is loaded.
        BackboneLoadError
            If a backbone cannot be loaded.
        SelectionError
            If the backbones have fewer than ``k`` layers, or no layer meets the budget.
        """
        texts, labels = as_texts(X), as_list(y, "labels")
        if len(texts) != len(labels):
            raise ShapeError(f"Expected a label per text, got {len(labels)} for {len(texts)}.")
        check_labels(labels)
        names, classes = index_labels(labels)
        with Meter() as meter, store_at(self.cache) as store:
            supervision = supervise(texts, classes, names, self.get_params(deep=False))
            distinct = supervision.distinct()
            backbones = self.load_backbones()
            stored = [embed_to_store(b, texts, store, progress=self.progress) for b in backbones]
            scores, selections = propose_layers(
                [own.take(distinct) for own in stored],
                [labels[i] for i in distinct],
                self.get_params(deep=False),
            )
            selection, fused = fuse_best(
                selections,
                partial(read_blocks, stored),
                texts,
                supervision,
                fusion=self.fusion,
                head=self.head,
                lexical=self.lexical,
            )
        used = [b for b in backbones if b.name in selection.backbones]
        cut = {b.name: b.cut(selection.deepest(b.name)) for b in used}
        # Set together at the end, so that a failed fit leaves an earlier one unchanged.
        numbers = isinstance(getattr(y, "dtype", None), np.dtype) and y.dtype.kind in "biu"
        self.classes_ = names.astype(y.dtype.newbyteorder("=")) if numbers else names
        self.scores_, self.selection_ = scores, selection
        self.fusion_, self.head_ = fused.fusion, fused.head
        self.validation_, self.trials_ = fused.validation, fused.trials
        self.backbones_, self.portable_ = cut, False
        self.text_column_: str | None = None
        self.overhead_ = meter.overhead(
            n_texts=len(texts),
            n_parameters=sum(backbone.n_parameters for backbone in cut.values()),
            kernel="+".join(sorted({backbone.kernel for backbone in backbones})),
        )
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the most likely label of each text, in the type of ``y``."""
        best = self._decisions(X).argmax(1)  # first, as it raises NotFittedError if unfitted
        return np.asarray(self.classes_[best])

    def predict_proba(self, X: Any) -> Targets:  # noqa: N803
        """Return calibrated probabilities (text, class), in the order of ``classes_``."""
        return np.concatenate([self.head_.probabilities(v, part) for part, v in self._fused(X)])

    def decision_function(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return decisions (text, class); for two classes (text,), where > 0 means the second."""
        decisions = self._decisions(X)
        return decisions[:, 1] - decisions[:, 0] if len(self.classes_) == 2 else decisions  # noqa: PLR2004

    def transform(self, X: Any) -> Features:  # noqa: N803
        """Return the fused vectors (text, fused width) in float32.

        A fusion that learns from labels has seen those of the training texts. A model trained on
        their fused vectors, as in a Pipeline, therefore trusts these vectors too much.
        """
        return np.concatenate([vectors for _, vectors in self._fused(X)])

    def gates(self, X: Any) -> TextGates:  # noqa: N803
        """Return the weight of each source for each text.

        Raises
        ------
        UnknownOptionError
            If the fusion has no gates.
        """
        self._check_fitted()
        return read_gates(self.fusion_, self.selection_, (b for _, b in self._blocks(X)))

    def save(self, folder: str | PathLike[str], *, include_backbones: bool = False) -> None:
        """Save to a folder that ``load`` reads on any machine, without pickle.

        Parameters
        ----------
        folder : path
            Must be new, empty, or contain a saved classifier, which is replaced.
        include_backbones : bool
            Include the cut backbones, to load without a network; always so if loaded with them.

        Raises
        ------
        NotFittedError, BundleFormatError
            If ``fit`` was not called; if the folder contains something else.
        """
        self._check_fitted()
        parameters = lasting_parameters(self.get_params(deep=False))
        parts = self.classes_, self.selection_, self.fusion_, self.head_, self.backbones_
        validation = getattr(self, "validation_", ())
        fitted = Fitted(parameters, *parts, validation, text_column=self.text_column_)
        save_fitted(fitted, Path(folder), include_backbones=include_backbones or self.portable_)

    @classmethod
    def load(
        cls,
        folder: str | PathLike[str],
        *,
        device: str | None = None,
        offline: bool = False,
        trust_remote_code: bool = False,
    ) -> "FusionClassifier":
        """Load a classifier that ``save`` wrote.

        Parameters
        ----------
        folder : path
            The saved folder.
        device, offline, trust_remote_code
            As in ``Backbone.from_pretrained``.

        Returns
        -------
        FusionClassifier
            Predicts as the saved one did; bit for bit with the same machine, threads and kernel
            (``LAYERFUSE_KERNEL`` pins it). Its ``backbones`` are those in use, also for a refit.

        Raises
        ------
        BundleFormatError
            If the folder is incomplete, altered or of a newer format.
        BackboneLoadError
            If a backbone cannot be loaded, or differs from the one it was trained with.
        """
        fitted = load_fitted(
            Path(folder), device=device, offline=offline, trust_remote_code=trust_remote_code
        )
        loaded = cls(**{**fitted.parameters, "device": device, "offline": offline})
        loaded.classes_, loaded.selection_ = fitted.classes, fitted.selection
        loaded.fusion_, loaded.head_ = fitted.fusion, fitted.head
        loaded.backbones_, loaded.portable_ = dict(fitted.backbones), fitted.portable
        loaded.text_column_ = fitted.text_column
        return loaded

    def load_backbones(self) -> list[Backbone]:
        """Load the backbones named in the constructor: uncut, in order, with distinct names.

        Raises
        ------
        UnknownOptionError, ShapeError
            If an option has an unknown value, there is no backbone, or the number of prompts is
            wrong (before anything is loaded); if names are equal, or settings differ.
        BackboneLoadError
            If a backbone cannot be loaded.
        SelectionError
            If the backbones have fewer than ``k`` layers.
        """
        parameters = self.get_params(deep=False)
        options.check_options(parameters)
        backbones = load_named(parameters)
        options.check_refs(self.selector, self.k, self.fusion, [one.refs for one in backbones])
        return backbones

    @property
    def _n_features_out(self) -> int:  # read by get_feature_names_out and thereby set_output
        return self.fusion_.out_width

    def _blocks(self, X: Any) -> Iterator[tuple[list[str], list[Block]]]:  # noqa: N803
        self._check_fitted()
        return stream_blocks(as_texts(X), self.backbones_, self.selection_, progress=self.progress)

    def _fused(self, X: Any) -> Iterator[tuple[list[str], Features]]:  # noqa: N803
        return ((part, self.fusion_.fuse(blocks)) for part, blocks in self._blocks(X))

    def _decisions(self, X: Any) -> Targets:  # noqa: N803
        return np.concatenate([self.head_.decisions(v, part) for part, v in self._fused(X)])

    def _check_fitted(self) -> None:
        if not hasattr(self, "backbones_"):
            raise NotFittedError("This FusionClassifier is not fitted. Call fit(texts, labels).")
