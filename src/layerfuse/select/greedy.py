"""``greedy``: add the layer that helps most beside those already chosen, until none does."""

from collections.abc import Sequence

from layerfuse.core.arrays import ClassIndices
from layerfuse.core.layers import LayerRows
from layerfuse.core.ridge import one_hot
from layerfuse.core.sample import sample_texts
from layerfuse.core.scores import LayerScores
from layerfuse.core.selection import Selection
from layerfuse.select.kernels import (
    MAX_LAYERS,
    MAX_TEXTS,
    layer_kernel,
    loo_losses,
    read_standardized,
    surely_lower,
)
from layerfuse.select.limits import check_k

PER_BACKBONE = 4
"""Candidates of each backbone."""


def greedy(
    scores: LayerScores,
    embeddings: Sequence[LayerRows],
    labels: ClassIndices,
    k: int | None = None,
    *,
    random_state: int = 0,
) -> Selection:
    """Choose layers forward by conditional leave-one-out gain, over all backbones together.

    Starts from the best layer. Each step tries every candidate beside the chosen ones, as a ridge
    classifier on the block-scaled concatenation, and adds the one with the lowest leave-one-out
    Brier score, while that lowers the score by more than one standard error of the paired
    difference.

    Parameters
    ----------
    scores : LayerScores
        The 4 best of each backbone are the candidates; the k best, if more are wanted.
    embeddings : sequence of LayerEmbeddings
        One per backbone.
    labels : int array of shape (text,)
        Class indices.
    k : int, optional
        Layers over all backbones, whether they help or not. Default: while one helps, at most 12.
    random_state : int
        Draws the texts to look at, where there are more than 1,500.

    Returns
    -------
    Selection
        In the order chosen.

    Raises
    ------
    SelectionError
        If k is not within 1 .. number of scored layers.

    Source
    ------
    Forward selection with the one-standard-error rule of Breiman et al. 1984, *CART*, section
    3.4.3.
    """
    check_k(k, scores)
    per_backbone = max(PER_BACKBONE, k or 0)
    refs = [ref for name in scores.backbones for ref in scores.of(name).ranked()[:per_backbone]]
    rows = sample_texts(labels, MAX_TEXTS, random_state)
    kernels = {ref: layer_kernel(x) for ref, x in read_standardized(embeddings, refs, rows)}
    targets = one_hot(labels[rows])
    chosen = [max(kernels, key=lambda ref: scores[ref])]
    total = kernels[chosen[0]].copy()
    losses = loo_losses(total, 1, targets)
    while len(chosen) < min(k or MAX_LAYERS, len(kernels)):
        tried = {
            ref: loo_losses(total + kernel, len(chosen) + 1, targets)
            for ref, kernel in kernels.items()
            if ref not in chosen
        }
        ref = min(tried, key=lambda r: float(tried[r].mean()))
        if k is None and not surely_lower(tried[ref], losses):
            break
        chosen.append(ref)
        total += kernels[ref]
        losses = tried[ref]
    why = "each adds more than one standard error to those before it"
    return Selection(tuple(chosen), why if k is None else f"the {k} that help each other most")
