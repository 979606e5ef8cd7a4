"""``choose_layers``: score, select, and tell how sure that is."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from layerfuse.core.arrays import ClassIndices
from layerfuse.core.choice import LayerChoice
from layerfuse.core.costs import Budget
from layerfuse.core.errors import LabelError
from layerfuse.core.layers import LayerRows
from layerfuse.core.scores import LayerScores
from layerfuse.core.selection import Selection
from layerfuse.core.signals import LayerSignals
from layerfuse.score import CriterionInfo, CriterionName, score_layers
from layerfuse.select import (
    SelectorName,
    needs_embeddings,
    select_layers,
    selection_stability,
)


def choose_layers(
    embeddings: Sequence[LayerRows],
    labels: Any,
    criterion: CriterionName | CriterionInfo = "loo_ridge",
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
    embeddings : sequence of LayerRows
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
        Scores, selection and stability.

    Raises
    ------
    LabelError
        If labels are needed, by the criterion or the selector, and there are none.
    """
    if labels is None and needs_embeddings(selector):
        raise LabelError(f"selector={selector!r} needs labels, got none.")
    scores = score_layers(embeddings, labels, criterion, signals=signals)
    # Without labels all texts are of one kind; then only criteria that see none come this far.
    kinds = [0] * embeddings[0].n_texts if labels is None else labels
    selection = select_layers(
        scores,
        selector,
        k=k,
        embeddings=embeddings,
        labels=kinds,
        budget=budget,
        random_state=random_state,
    )
    if n_resamples == 0:
        return LayerChoice(scores, selection)
    rng = np.random.default_rng(random_state)

    def rescore(blocks: Sequence[LayerRows], classes: ClassIndices) -> LayerScores:
        return score_layers(blocks, classes, criterion, signals=[_redrawn(s, rng) for s in signals])

    stability = selection_stability(
        scores,
        selector,
        k=k,
        embeddings=embeddings,
        labels=kinds,
        budget=budget,
        rescore=rescore,
        n_resamples=n_resamples,
        random_state=random_state,
    )
    return LayerChoice(scores, selection, stability)


def candidate_selections(
    scores: LayerScores,
    embeddings: Sequence[LayerRows],
    labels: Any,
    selectors: Sequence[SelectorName],
    *,
    k: int | None = None,
    budget: Budget | None = None,
    random_state: int = 0,
) -> list[Selection]:
    """Return what each of several selectors makes of the same scores; arguments as above."""
    return [
        select_layers(
            scores,
            selector,
            k=k,
            embeddings=embeddings,
            labels=labels,
            budget=budget,
            random_state=random_state,
        )
        for selector in selectors
    ]


def _redrawn(signal: LayerSignals, rng: np.random.Generator) -> LayerSignals:
    """Bootstrap the texts of a signal: its sample is another one than that of the embeddings."""
    n_texts = len(signal.values)
    return dataclasses.replace(signal, values=signal.values[rng.integers(n_texts, size=n_texts)])
