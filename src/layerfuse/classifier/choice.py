"""``choose_layers``: scores, selects, and measures how stable the selection is."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from layerfuse.classifier.limits import measured_budget
from layerfuse.classifier.options import selectors_of, wants_sources
from layerfuse.classifier.signals import gather_signals, needed_signals
from layerfuse.core.arrays import ClassIndices
from layerfuse.core.choice import LayerChoice
from layerfuse.core.costs import Budget
from layerfuse.core.errors import LabelError
from layerfuse.core.layers import LayerRef, LayerRows, as_blocks
from layerfuse.core.scores import Criterion, LayerScores
from layerfuse.core.selection import Selection
from layerfuse.core.signals import LayerSignals
from layerfuse.core.texts import as_list
from layerfuse.extract import StoredEmbeddings
from layerfuse.fuse.sources import source_names
from layerfuse.score import CriterionInfo, CriterionName, score_layers
from layerfuse.select import SelectorName, needs_embeddings, select_layers, selection_stability


def choose_layers(
    embeddings: LayerRows | Sequence[LayerRows],
    labels: Any,
    criterion: CriterionName | CriterionInfo | Criterion = "loo_ridge",
    selector: SelectorName = "best",
    *,
    k: int | None = None,
    budget: Budget | None = None,
    signals: Sequence[LayerSignals] = (),
    n_resamples: int | None = None,
    random_state: int = 0,
) -> LayerChoice:
    """Score all layers, select some, and repeat the selection on resamples of the texts.

    Parameters
    ----------
    embeddings : LayerEmbeddings or sequence of them
        One per backbone.
    labels : sequence of shape (text,) or None
        None only if the criterion needs no labels and the selector uses only scores.
    criterion, signals
        As in ``score_layers``.
    selector, k, budget
        As in ``select_layers``.
    n_resamples : int, optional
        As in ``selection_stability``; with 0, stability is not measured.
    random_state : int
        Seed for the draws of texts.

    Returns
    -------
    LayerChoice
        Scores of all layers. As in ``fit``, embedding outputs that are equal for all texts, such as
        those of a first token, are never selected; their share in the stability is 0.

    Raises
    ------
    LabelError
        If the criterion or the selector needs labels and there are none.
    """
    if labels is None and needs_embeddings(selector):
        raise LabelError(f"selector={selector!r} needs labels, got none.")
    blocks = as_blocks(embeddings)
    labels = None if labels is None else as_list(labels, "labels")  # a generator is read once
    scores = score_layers(blocks, labels, criterion, signals=signals, random_state=random_state)
    # Without labels, all texts get one class; score_layers has refused criteria that need labels.
    classes = [0] * blocks[0].n_texts if labels is None else labels
    varying = _varying(scores, blocks)
    selection = select_layers(
        varying,
        selector,
        k=k,
        embeddings=blocks,
        labels=classes,
        budget=budget,
        random_state=random_state,
    )
    if n_resamples == 0:
        return LayerChoice(scores, selection)
    rng = np.random.default_rng(random_state)

    def rescore(drawn: Sequence[LayerRows], of_drawn: ClassIndices) -> LayerScores:
        resampled = [_resampled(s, rng) for s in signals]
        return score_layers(
            drawn, of_drawn, criterion, signals=resampled, random_state=random_state
        )

    stability = selection_stability(
        scores,
        selector,
        k=k,
        embeddings=blocks,
        labels=classes,
        budget=budget,
        rescore=rescore,
        sampled=bool(needed_signals([criterion])),
        candidates=varying.refs,
        n_resamples=n_resamples,
        random_state=random_state,
    )
    return LayerChoice(scores, selection, stability)


def propose_layers(
    stored: Sequence[StoredEmbeddings],
    labels: Any,
    parameters: Mapping[str, Any],
) -> tuple[LayerScores, list[Selection]]:
    """Score all layers, and return every selection that ``fit`` compares.

    Parameters
    ----------
    stored : sequence of StoredEmbeddings
        One per backbone, without near-duplicates, which would leak into held-out texts.
    labels : sequence of shape (text,)
        One per text.
    parameters : mapping
        Constructor arguments of the classifier by name.

    Returns
    -------
    scores : LayerScores
        Scores of all layers.
    selections : list of Selection
        One per selector, in the order of ``selectors_of``.
    """
    criterion, random_state = parameters["criterion"], parameters["random_state"]
    requested = parameters["selector"], parameters["k"], parameters["fusion"]
    limits = parameters["max_ms"], parameters["max_mb"]
    signals = gather_signals(stored, labels, [criterion], random_state=random_state)
    scores = score_layers(stored, labels, criterion, signals=signals, random_state=random_state)
    backbones = [embeddings.model for embeddings in stored]
    budget = measured_budget(backbones, stored[0].texts, *limits, random_state=random_state)
    varying = _varying(scores, stored)
    selections = [
        select_layers(
            varying,
            selector,
            k=k,
            embeddings=stored,
            labels=labels,
            budget=budget,
            random_state=random_state,
        )
        for selector, k in selectors_of(*requested, stored[0].n_texts)
    ]
    if wants_sources(*requested):
        selections = [_of_several_sources(one, varying) for one in selections]
    return scores, selections


def _varying(scores: LayerScores, embeddings: Sequence[LayerRows]) -> LayerScores:
    """Leave out embedding outputs that are equal for all texts, as those of a first token are.

    A constant layer may score best if nothing explains the labels, but no head can be fitted on it.
    Deeper layers vary, because they have seen the other tokens.
    """
    left = set(scores.refs)
    for block in embeddings:
        for ref in [ref for ref in block.refs if ref.layer == 0 and ref in left]:
            row = block.row(ref)
            others = any(other.backbone == ref.backbone for other in left - {ref})
            if others and (row == row[0]).all():
                left.remove(ref)
    return scores.among(left)


def _of_several_sources(selection: Selection, scores: LayerScores) -> Selection:
    """If a selection has only one source, add the best layer of every other source."""
    selected = source_names(selection.refs)
    if len(selected) > 1:
        return selection
    bests: dict[tuple[str, ...], LayerRef] = {}
    for ref in scores.ranked():
        bests.setdefault(source_names([ref]), ref)
    others = [ref for source, ref in bests.items() if source != selected]
    why = f"{selection.reason}, and the best of each other source"
    return Selection((*selection.refs, *others), why)


def _resampled(signal: LayerSignals, rng: np.random.Generator) -> LayerSignals:
    """Bootstrap the texts of a signal on their own, as they are not those of the embeddings."""
    n_texts = len(signal.values)
    return dataclasses.replace(signal, values=signal.values[rng.integers(n_texts, size=n_texts)])
