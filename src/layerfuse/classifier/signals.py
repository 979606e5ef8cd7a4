"""What criteria need of the models themselves, gathered on a sample of texts."""

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
"""Texts of a sample, where there are more."""


def gather_signals(
    stored: Sequence[StoredEmbeddings],
    labels: Any,
    criteria: Sequence[CriterionName | CriterionInfo | Criterion],
    *,
    random_state: int = 0,
) -> tuple[LayerSignals, ...]:
    """Gather what some criteria need of the models; nothing runs where they need nothing.

    Attention and gradients come from one forward pass over at most 500 texts, drawn so that classes
    keep their shares. The gradient is that of a ridge probe, fitted on the embeddings of all texts
    at the deepest layer, standardised, its logits scaled by the temperature that fits held-out
    texts best.

    Parameters
    ----------
    stored : sequence of StoredEmbeddings
        One per backbone, all of the same texts; each knows its model, its texts and whether to show
        a progress bar.
    labels : sequence of shape (text,)
        Of any kind. None where no criterion needs labels: the sample is then drawn from all alike.
    criteria : sequence of CriterionName, CriterionInfo or callable
        Those about to score.
    random_state : int
        Draws the sample.

    Returns
    -------
    tuple of LayerSignals
        To be passed to ``score_layers``: one for each backbone and signal needed.

    Raises
    ------
    UnknownOptionError
        If a criterion has an unknown name.
    LayerError
        If attention is needed of a model that gives none.
    LabelError
        If a gradient is needed, and there are not two classes of two texts or more.
    ShapeError
        If there is not one label per text.
    OutOfMemoryError
        If memory does not suffice for one text alone.
    """
    names = needed_signals(criteria)
    found: list[LayerSignals] = []
    for embeddings in stored if names else ():
        texts = embeddings.texts
        classes = _classes(labels, len(texts))
        rows = sample_texts(classes, MAX_TEXTS, random_state)
        loss = _probe_loss(embeddings, classes, rows) if "backbone_gradient" in names else None
        sample = [texts[i] for i in rows.tolist()]
        found += model_signals(
            embeddings.model, sample, names, loss=loss, progress=embeddings.progress
        )
    return tuple(found)


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
    """Return the signals that any of the criteria needs; a function of the caller needs none."""
    infos = [criterion_info(c) if isinstance(c, str) else c for c in criteria]
    needed = {s for info in infos if isinstance(info, CriterionInfo) for s in info.signals}
    return tuple(sorted(needed))


def _probe_loss(embeddings: StoredEmbeddings, classes: ClassIndices, rows: np.ndarray) -> ProbeLoss:
    """Fit a probe on the deepest layer of all texts; return its loss on some of them."""
    backbone = embeddings.model
    pooling = backbone.spec.poolings[0]
    features = embeddings.row(LayerRef(backbone.name, backbone.deepest, pooling))
    standard = Standardizer.fit(features)
    head, _ = fit_head(standard.apply(features), Supervision.of(classes), head="ridge")
    # The probe reads states as the model gives them: standardising goes into its coefficients.
    logits = np.float32(head.temperature) * head.coefficients
    coefficients = standard.scale[:, None] * logits
    intercept = np.float32(head.temperature) * head.intercept - standard.mean @ coefficients
    return ProbeLoss(coefficients, intercept, classes[rows], pooling)
