"""Accuracy against cost: smaller sets of backbones, and what each backbone adds."""

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np

from layerfuse.classifier import FusionClassifier
from layerfuse.core.arrays import Block, ClassIndices
from layerfuse.core.costs import DepthCosts
from layerfuse.core.errors import SelectionError
from layerfuse.core.layers import LayerRef, LayerRows
from layerfuse.core.sample import sample_texts
from layerfuse.core.selection import Selection
from layerfuse.core.supervision import Supervision
from layerfuse.fuse import FUSIONS, fusion_name
from layerfuse.report.costs import Choice, Marginal
from layerfuse.report.trade import knee, pareto_front
from layerfuse.train import fit_head

MAX_TEXTS = 2000
"""Most training texts that the choices are fitted on, plus two of each class."""

_ALL_SUBSETS = 4  # most backbones of which all subsets (15) are tried


def smaller_choices(
    classifier: FusionClassifier,
    embeddings: Sequence[LayerRows],
    supervision: Supervision,
    test_embeddings: Sequence[LayerRows],
    truth: ClassIndices,
    costs: Sequence[DepthCosts],
) -> tuple[Choice, ...]:
    """Fit fusion and head again on the classifier's layers of fewer backbones.

    All sets, also the whole one, are fitted alike to be comparable: with the classifier's fusion
    and kind of head, without the TF-IDF head, and on the same training texts, which may be fewer
    than the classifier's.

    Parameters
    ----------
    classifier : FusionClassifier
        Fitted classifier.
    embeddings : sequence of LayerRows
        Embeddings of all training texts under the backbones in use; other backbones are ignored.
    supervision : Supervision
        Labels of the training texts. If there are more than 2,000, these are drawn stratified by
        class, plus two of each class.
    test_embeddings, truth
        Embeddings and class indices of the test texts; nothing is chosen by them.
    costs : sequence of DepthCosts
        Costs of the backbones in use, from ``measure_costs``.

    Returns
    -------
    tuple of Choice
        The whole set first, then smaller ones: with up to four backbones all subsets, with more
        each backbone alone and all but one. A set with too few sources for the fusion is left out.
    """
    selection = classifier.selection_
    sets = backbone_sets(selection.backbones)
    priced = [_price(selection, names, costs) for names in sets]
    rows = _draw(supervision.labels, MAX_TEXTS, supervision.random_state)
    known = dataclasses.replace(supervision.of_texts(rows), progress=False)
    train = _read(embeddings, selection, rows)
    test = _read(test_embeddings, selection, slice(None))

    def fit(names: tuple[str, ...]) -> tuple[float, float] | None:
        refs = [ref for ref in selection if ref.backbone in names]
        kind = FUSIONS[fusion_name(classifier.fusion_)]
        try:
            fusion, vectors = kind.fit_fuse([train[ref] for ref in refs], refs, known)
        except SelectionError:  # some fusions need more than one source
            return None
        head, (*_, candidate) = fit_head(vectors, known, head=classifier.head_.kind)
        best = head.decisions(fusion.fuse([test[ref] for ref in refs])).argmax(1)
        return candidate.accuracy, float((best == truth).mean())

    tried = zip(sets, map(fit, sets), priced, strict=True)
    fitted = [(names, *accuracies, *price) for names, accuracies, price in tried if accuracies]
    points = [(held_out, milliseconds) for _, held_out, _, milliseconds, _ in fitted]
    front, best_trade = pareto_front(points), knee(points)
    return tuple(
        Choice(*row, on_front=front[i], is_knee=i == best_trade) for i, row in enumerate(fitted)
    )


def backbone_sets(names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return the sets of backbones to compare, from the largest to the smallest.

    Parameters
    ----------
    names : sequence of str
        At least one, distinct.

    Returns
    -------
    tuple of tuple of str
        All subsets of up to four names; of more, the whole set, all but one, and each alone.
    """
    n = len(names)
    sizes = range(n, 0, -1) if n <= _ALL_SUBSETS else (n, n - 1, 1)
    return tuple(chosen for size in sizes for chosen in itertools.combinations(names, size))


def backbone_marginals(choices: Sequence[Choice]) -> tuple[Marginal, ...]:
    """Return what each backbone adds to all others.

    Parameters
    ----------
    choices : sequence of Choice
        From ``smaller_choices``.

    Returns
    -------
    tuple of Marginal
        In the order of the whole set. A backbone is left out if the set of all others was not
        fitted, so there are none with one backbone.
    """
    whole = max(choices, key=lambda choice: len(choice.backbones))
    by_names = {frozenset(choice.backbones): choice for choice in choices}
    without = {name: by_names.get(frozenset(whole.backbones) - {name}) for name in whole.backbones}
    return tuple(
        Marginal(
            name,
            whole.held_out_accuracy - rest.held_out_accuracy,
            whole.milliseconds - rest.milliseconds,
        )
        for name, rest in without.items()
        if rest
    )


def _price(
    selection: Selection, names: Sequence[str], costs: Sequence[DepthCosts]
) -> tuple[float, int]:
    """Return milliseconds and bytes of backbones cut at their deepest layer in use."""
    by_name = {by_depth.backbone: by_depth for by_depth in costs}
    milliseconds, weight_bytes = [], 0
    for name in names:
        deepest = selection.deepest(name)
        milliseconds.append(by_name[name].milliseconds[deepest])
        weight_bytes += by_name[name].weight_bytes[deepest]
    return math.fsum(milliseconds), weight_bytes


def _read(
    embeddings: Sequence[LayerRows], selection: Selection, rows: np.ndarray | slice
) -> dict[LayerRef, Block]:
    """Return some rows of each layer's (text, hidden) matrix, reading one matrix at a time."""
    by_name = {layers.backbone: layers for layers in embeddings}
    return {ref: by_name[ref.backbone].row(ref)[rows] for ref in selection}


def _draw(classes: ClassIndices, n_texts: int, random_state: int) -> np.ndarray:
    """Return positions of drawn texts, at least two of each class, as a head needs."""
    pairs = [np.flatnonzero(classes == label)[:2] for label in range(classes.max() + 1)]
    return np.union1d(sample_texts(classes, n_texts, random_state), np.concatenate(pairs))
