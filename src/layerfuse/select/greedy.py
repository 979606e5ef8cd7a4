"""``greedy``: forward selection; adds the layer that most lowers the leave-one-out loss."""

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
"""Candidate layers per backbone."""


def greedy(
    scores: LayerScores,
    embeddings: Sequence[LayerRows],
    labels: ClassIndices,
    k: int | None = None,
    *,
    random_state: int = 0,
) -> Selection:
    """Choose layers over all backbones by forward selection.

    It starts from the best layer. Each step fits a ridge classifier on the block-scaled
    concatenation of the chosen layers and one candidate, for every candidate, and adds the
    candidate with the lowest leave-one-out Brier score. It stops when this lowers the score by no
    more than one standard error of the paired difference.

    Parameters
    ----------
    scores : LayerScores
        The 4 best layers of each backbone are the candidates; the k best if k is larger.
    embeddings : sequence of LayerEmbeddings
        One per backbone.
    labels : int array of shape (text,)
        Class indices.
    k : int, optional
        Layers over all backbones, also if the last ones do not help. Default: as many as help, at
        most 12.
    random_state : int
        Draws 1,500 texts if there are more.

    Returns
    -------
    Selection
        Layers in the order in which they were added.

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
