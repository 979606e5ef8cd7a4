"""``choose_layers``: score, select, and tell how sure that is."""

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
from layerfuse.core.layers import LayerRef, LayerRows
from layerfuse.core.scores import Criterion, LayerScores
from layerfuse.core.selection import Selection
from layerfuse.core.signals import LayerSignals
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
    """Score all layers, choose some, and choose again on other draws of the texts.

    Parameters
    ----------
    embeddings : LayerEmbeddings or sequence of them
        One per backbone.
    labels : sequence of shape (text,) or None
        None for criteria that need none and selectors that look at scores only.
    criterion, signals
        As in ``score_layers``.
    selector, k, budget
        As in ``select_layers``.
    n_resamples : int, optional
        As in ``selection_stability``; 0 leaves it out.
    random_state : int
        Draws texts.

    Returns
    -------
    LayerChoice
        Scores of all layers; selection and stability of those that ``fit`` may choose too: the
        embedding of a first token, equal for all texts, is none.

    Raises
    ------
    LabelError
        If labels are needed, by the criterion or the selector, and there are none.
    """
    if labels is None and needs_embeddings(selector):
        raise LabelError(f"selector={selector!r} needs labels, got none.")
    blocks = list(embeddings) if isinstance(embeddings, Sequence) else [embeddings]
    scores = score_layers(blocks, labels, criterion, signals=signals, random_state=random_state)
    # Without labels all texts are of one kind; then only criteria that see none come this far.
    kinds = [0] * blocks[0].n_texts if labels is None else labels
    telling = _that_vary(scores, blocks)
    selection = select_layers(
        telling,
        selector,
        k=k,
        embeddings=blocks,
        labels=kinds,
        budget=budget,
        random_state=random_state,
    )
    if n_resamples == 0:
        return LayerChoice(scores, selection)
    rng = np.random.default_rng(random_state)

    def rescore(drawn: Sequence[LayerRows], classes: ClassIndices) -> LayerScores:
        redrawn = [_redrawn(s, rng) for s in signals]
        return score_layers(drawn, classes, criterion, signals=redrawn, random_state=random_state)

    stability = selection_stability(
        scores,
        selector,
        k=k,
        embeddings=blocks,
        labels=kinds,
        budget=budget,
        rescore=rescore,
        sampled=bool(needed_signals([criterion])),
        candidates=telling.refs,
        n_resamples=n_resamples,
        random_state=random_state,
    )
    return LayerChoice(scores, selection, stability)


def propose_layers(
    stored: Sequence[StoredEmbeddings],
    labels: Any,
    n_texts: int,
    parameters: Mapping[str, Any],
) -> tuple[LayerScores, list[Selection]]:
    """Score all layers, and return every selection that ``fit`` shall judge.

    Parameters
    ----------
    stored : sequence of StoredEmbeddings
        One per backbone, of texts that do not repeat each other: held out, they would be known.
    labels : sequence of shape (text,)
        One per text.
    n_texts : int
        Training texts, those that repeat others too.
    parameters : mapping
        Constructor arguments of the classifier by name.

    Returns
    -------
    scores : LayerScores
        Of every layer.
    selections : list of Selection
        What each selector makes of them, the one with fewer layers first.
    """
    criterion, random_state = parameters["criterion"], parameters["random_state"]
    asked = parameters["selector"], parameters["k"], parameters["fusion"]
    limits = parameters["max_ms"], parameters["max_mb"]
    signals = gather_signals(stored, labels, [criterion], random_state=random_state)
    scores = score_layers(stored, labels, criterion, signals=signals, random_state=random_state)
    backbones = [own.model for own in stored]
    budget = measured_budget(backbones, stored[0].texts, *limits, random_state=random_state)
    telling = _that_vary(scores, stored)
    selections = [
        select_layers(
            telling,
            one,
            k=own_k,
            embeddings=stored,
            labels=labels,
            budget=budget,
            random_state=random_state,
        )
        for one, own_k in selectors_of(*asked, n_texts)
    ]
    if wants_sources(*asked):
        selections = [_of_several_sources(one, telling) for one in selections]
    return scores, selections


def _that_vary(scores: LayerScores, embeddings: Sequence[LayerRows]) -> LayerScores:
    """Leave out embedding outputs that are equal for all texts, as those of a first token are.

    Where nothing tells the labels, what says nothing scores best, and no head can be fitted on it.
    Deeper layers have seen the other tokens.
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
    """Return a selection with the best layer of every other source, if it is of one only."""
    own = source_names(selection.refs)
    if len(own) > 1:
        return selection
    bests: dict[tuple[str, ...], LayerRef] = {}
    for ref in scores.ranked():
        bests.setdefault(source_names([ref]), ref)
    others = [ref for source, ref in bests.items() if source != own]
    why = f"{selection.reason}, and the best of each other source"
    return Selection((*selection.refs, *others), why)


def _redrawn(signal: LayerSignals, rng: np.random.Generator) -> LayerSignals:
    """Bootstrap the texts of a signal: its sample is another one than that of the embeddings."""
    n_texts = len(signal.values)
    return dataclasses.replace(signal, values=signal.values[rng.integers(n_texts, size=n_texts)])
