"""``select_layers``: choose layers by LayerScores with a named selector."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from layerfuse.core.arrays import ClassIndices
from layerfuse.core.costs import Budget
from layerfuse.core.errors import SelectionError, ShapeError, check_option
from layerfuse.core.layers import LayerRef, LayerRows, as_blocks
from layerfuse.core.scores import LayerScores
from layerfuse.core.selection import Selection
from layerfuse.core.texts import as_list
from layerfuse.data import index_labels
from layerfuse.select.best import best
from layerfuse.select.best_backbone import best_backbone
from layerfuse.select.budget import budget as within_budget
from layerfuse.select.greedy import greedy
from layerfuse.select.group_lasso import group_lasso
from layerfuse.select.mrmr import mrmr
from layerfuse.select.top import top
from layerfuse.select.upper_half import upper_half, upper_refs
from layerfuse.select.upper_top import upper_top

SelectorName = Literal[
    "best",
    "top",
    "upper_half",
    "upper_top",
    "best_backbone",
    "greedy",
    "mrmr",
    "group_lasso",
    "budget",
]

SELECTOR_NAMES: tuple[SelectorName, ...] = get_args(SelectorName)

BY_SCORES: Mapping[str, Callable[[LayerScores, int | None], Selection]] = {
    "best": best,
    "top": top,
    "upper_top": upper_top,
    "best_backbone": best_backbone,
}
"""Selectors that use only scores."""

BY_EMBEDDINGS: Mapping[str, Callable[..., Selection]] = {
    "greedy": greedy,
    "mrmr": mrmr,
    "group_lasso": group_lasso,
}
"""Selectors that also use embeddings and labels, and choose over all backbones together."""

_NO_K = "selector='upper_half' has no k. Leave it out, or choose 'upper_top'."


def select_layers(
    scores: LayerScores,
    selector: SelectorName = "upper_half",
    *,
    k: int | None = None,
    embeddings: LayerRows | Sequence[LayerRows] | None = None,
    labels: Any = None,
    budget: Budget | None = None,
    random_state: int = 0,
) -> Selection:
    """Choose layers from their scores.

    Parameters
    ----------
    scores : LayerScores
        Scores of one or several backbones.
    selector : SelectorName
        ``best``: the best of each backbone. ``top``: the best over all backbones. ``upper_half``:
        the deeper half of each backbone. ``upper_top``: the best of those halves.
        ``best_backbone``: the best of the deeper half of the backbone that has the best layer.
        ``greedy``: forward selection by leave-one-out loss. ``mrmr``: high scores, low similarity
        to the layers already chosen. ``group_lasso``: the first to enter a sparse regression on all
        layers. ``budget``: the best within a limit on time or size.
    k : int, optional
        Number of layers: per backbone for ``best`` and ``budget``, in all for the others;
        ``upper_half`` takes none. Default: a third of the upper halves for ``upper_top`` and
        ``best_backbone``; for the others, a rule of one standard error decides.
    embeddings : LayerEmbeddings or sequence, optional
        The embeddings that were scored; only for ``greedy``, ``mrmr`` and ``group_lasso``.
    labels : sequence of shape (text,), optional
        The labels; only for the same three.
    budget : Budget, optional
        Costs by depth and limits; only for ``budget``.
    random_state : int
        Draws a sample of the texts if there are many.

    Returns
    -------
    Selection
        The chosen layers with the reason.

    Raises
    ------
    UnknownOptionError
        If the selector is unknown.
    SelectionError
        If labels, a budget, or the embeddings of a scored backbone are needed and missing; if k is
        out of range, or given to ``upper_half``; or if no layer is within the budget.
    ShapeError
        If scores or embeddings are something else; if embeddings and labels differ in the number of
        texts.
    """
    check_option("selector", selector, SELECTOR_NAMES)
    if not isinstance(scores, LayerScores):
        raise ShapeError(
            f"Expected the LayerScores that score_layers returns, got {type(scores).__name__}."
        )
    if selector in BY_SCORES:
        return BY_SCORES[selector](scores, k)
    if selector == "upper_half":
        if k is not None:
            raise SelectionError(_NO_K)
        return upper_half(scores)
    if selector == "budget":
        if not isinstance(budget, Budget):
            got = "none" if budget is None else repr(budget)
            raise SelectionError(f"selector='budget' needs budget=Budget(costs, ...), got {got}.")
        return within_budget(scores, budget, k)
    if embeddings is None or labels is None:
        raise SelectionError(
            f"selector={selector!r} needs embeddings=... and labels=..., got none."
        )
    blocks, classes = check_evidence(scores, embeddings, labels)
    return BY_EMBEDDINGS[selector](scores, blocks, classes, k, random_state=random_state)


def check_evidence(
    scores: LayerScores, embeddings: LayerRows | Sequence[LayerRows], labels: Any
) -> tuple[list[LayerRows], ClassIndices]:
    """Return the embeddings as a list and the labels as class indices.

    Raises
    ------
    SelectionError
        If the embeddings are not those of exactly the scored backbones.
    LabelError
        If a label is missing, or labels are not all str, all int or all bool.
    ShapeError
        If embeddings and labels differ in the number of texts.
    """
    blocks = as_blocks(embeddings)
    names = [block.backbone for block in blocks]
    if sorted(names) != sorted(scores.backbones):
        raise SelectionError(
            f"Expected embeddings of {', '.join(scores.backbones)}, got {', '.join(names)}."
        )
    classes = index_labels(as_list(labels, "labels"))[1]
    for block in blocks:
        if block.n_texts != len(classes):
            raise ShapeError(
                f"{block.backbone} has {block.n_texts} texts, but there are {len(classes)} labels."
            )
    return blocks, classes


def most_layers(selector: SelectorName, refs: Sequence[Sequence[LayerRef]]) -> tuple[int, str]:
    """Return the largest k of a selector, and what sets it, such as "all backbones".

    Parameters
    ----------
    selector : SelectorName
        Name of the selector.
    refs : sequence of sequence of LayerRef
        All layers of each backbone.

    Raises
    ------
    SelectionError
        If the selector takes no k.
    """
    if selector == "upper_half":
        raise SelectionError(_NO_K)
    if selector == "upper_top":
        return sum(len(upper_refs(layers)) for layers in refs), "the upper halves"
    if selector == "best_backbone":
        return min(len(upper_refs(layers)) for layers in refs), "the smallest upper half"
    if selector in {"best", "budget"}:
        fewest = min(refs, key=len)
        return len(fewest), fewest[0].backbone
    return sum(map(len, refs)), "all backbones"


def needs_embeddings(selector: SelectorName) -> bool:
    """Return whether a selector needs embeddings and labels besides scores."""
    return selector in BY_EMBEDDINGS
