"""``select_layers``: LayerScores to a Selection by a named selector."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from layerfuse.core.errors import SelectionError, ShapeError, check_option
from layerfuse.core.layers import LayerRows
from layerfuse.core.scores import LayerScores
from layerfuse.core.selection import Selection
from layerfuse.core.texts import as_list
from layerfuse.select.best import best
from layerfuse.select.greedy import greedy
from layerfuse.select.upper_half import upper_half

SelectorName = Literal["best", "upper_half", "greedy"]


def select_layers(
    scores: LayerScores,
    selector: SelectorName = "upper_half",
    *,
    k: int = 1,
    embeddings: LayerRows | Sequence[LayerRows] | None = None,
    labels: Any = None,
    random_state: int = 0,
) -> Selection:
    """Choose layers from their scores.

    Parameters
    ----------
    scores : LayerScores
        Of one or several backbones.
    selector : SelectorName
        ``best``: the k best of each backbone. ``upper_half``: the deeper half of each backbone.
        ``greedy``: over all backbones, by what a layer adds to those already chosen.
    k : int
        For ``best``.
    embeddings : LayerEmbeddings or sequence, optional
        For ``greedy``: what the scores were computed from.
    labels : sequence of shape (text,), optional
        For ``greedy``.
    random_state : int
        For ``greedy``, where it looks at a sample of the texts.

    Returns
    -------
    Selection
        The chosen layers with the reason.

    Raises
    ------
    UnknownOptionError
        If the selector is unknown.
    SelectionError
        If ``greedy`` lacks embeddings, of one scored backbone even, or labels; or k does not fit.
    ShapeError
        If embeddings and labels disagree in the number of texts.
    """
    check_option("selector", selector, get_args(SelectorName))
    if selector == "best":
        return best(scores, k)
    if selector == "upper_half":
        return upper_half(scores)
    if embeddings is None or labels is None:
        raise SelectionError("selector='greedy' needs embeddings=... and labels=..., got none.")
    blocks = list(embeddings) if isinstance(embeddings, Sequence) else [embeddings]
    names = [block.backbone for block in blocks]
    if sorted(names) != sorted(scores.backbones):
        raise SelectionError(
            f"Expected embeddings of {', '.join(scores.backbones)}, got {', '.join(names)}."
        )
    classes = np.unique(np.asarray(as_list(labels, "labels")), return_inverse=True)[1]
    for block in blocks:
        if block.n_texts != len(classes):
            raise ShapeError(
                f"{block.backbone} has {block.n_texts} texts, but there are {len(classes)} labels."
            )
    return greedy(scores, blocks, classes, random_state=random_state)
