"""Gathers the attention and gradient signals that criteria need, on a sample of texts."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from layerfuse.backbone import ProbeLoss, model_signals
from layerfuse.core.arrays import ClassIndices
from layerfuse.core.errors import ShapeError
from layerfuse.core.layers import LayerRef
from layerfuse.core.sample import sample_texts
from layerfuse.core.scores import Criterion
from layerfuse.core.signals import LayerSignals, SignalName
from layerfuse.core.standardize import Standardizer
from layerfuse.core.supervision import Supervision
from layerfuse.core.texts import as_list
from layerfuse.data import index_labels
from layerfuse.extract import StoredEmbeddings
from layerfuse.score import CriterionInfo, CriterionName, criterion_info
from layerfuse.train import fit_head

MAX_TEXTS = 500
"""Largest number of texts in the sample."""


def gather_signals(
    stored: Sequence[StoredEmbeddings],
    labels: Any,
    criteria: Sequence[CriterionName | CriterionInfo | Criterion],
    *,
    random_state: int = 0,
) -> tuple[LayerSignals, ...]:
    """Compute the signals that the criteria need from the models; without need, nothing runs.

    Attention and gradients come from one forward pass over a stratified sample of at most 500
    texts. The gradient is that of the loss of a ridge probe. The probe is fitted on the
    standardised embeddings of all texts at the deepest layer; its logits are scaled by the
    temperature that fits held-out texts best.

    Parameters
    ----------
    stored : sequence of StoredEmbeddings
        One per backbone, all of the same texts.
    labels : sequence of shape (text,)
        Labels of any type. None if no criterion needs labels; the sample is then not stratified.
    criteria : sequence of CriterionName, CriterionInfo or callable
        The criteria that will score.
    random_state : int
        Seed of the sample.

    Returns
    -------
    tuple of LayerSignals
        One for each backbone and signal needed, to be passed to ``score_layers``.

    Raises
    ------
    UnknownOptionError
        If a criterion has an unknown name.
    LayerError
        If a criterion needs attention and a model does not return any.
    LabelError
        If a criterion needs a gradient and there are not two classes with two texts or more.
    ShapeError
        If there is not one label per text.
    OutOfMemoryError
        If memory does not suffice even for a single text.
    """
    names = needed_signals(criteria)
    signals: list[LayerSignals] = []
    for embeddings in stored if names else ():
        texts = embeddings.texts
        classes = _classes(labels, len(texts))
        rows = sample_texts(classes, MAX_TEXTS, random_state)
        loss = _probe_loss(embeddings, classes, rows) if "backbone_gradient" in names else None
        sample = [texts[i] for i in rows.tolist()]
        signals += model_signals(
            embeddings.model, sample, names, loss=loss, progress=embeddings.progress
        )
    return tuple(signals)


def _classes(labels: Any, n_texts: int) -> ClassIndices:
    if labels is None:
        return np.zeros(n_texts, dtype=np.int64)
    _, classes = index_labels(as_list(labels, "labels"))
    if len(classes) != n_texts:
        raise ShapeError(f"Expected a label per text, got {len(classes)} for {n_texts}.")
    return classes


def needed_signals(
    criteria: Sequence[CriterionName | CriterionInfo | Criterion],
) -> tuple[SignalName, ...]:
    """Return the signals that any of the criteria needs; user functions need none."""
    infos = [criterion_info(c) if isinstance(c, str) else c for c in criteria]
    needed = {s for info in infos if isinstance(info, CriterionInfo) for s in info.signals}
    return tuple(sorted(needed))


def _probe_loss(embeddings: StoredEmbeddings, classes: ClassIndices, rows: np.ndarray) -> ProbeLoss:
    """Fit a probe on the deepest layer of all texts; return its loss on the given rows."""
    backbone = embeddings.model
    pooling = backbone.spec.poolings[0]
    features = embeddings.row(LayerRef(backbone.name, backbone.deepest, pooling))
    standard = Standardizer.fit(features)
    head, _ = fit_head(standard.apply(features), Supervision.of(classes), head="ridge")
    # The probe reads unstandardised states, so standardising is folded into its coefficients.
    logits = np.float32(head.temperature) * head.coefficients
    coefficients = standard.scale[:, None] * logits
    intercept = np.float32(head.temperature) * head.intercept - standard.mean @ coefficients
    return ProbeLoss(coefficients, intercept, classes[rows], pooling)
