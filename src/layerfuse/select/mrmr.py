"""``mrmr``: layers with high scores and low similarity to the layers already chosen."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from layerfuse.core.arrays import ClassIndices
from layerfuse.core.errors import SelectionError
from layerfuse.core.hsic import HSIC_MINIMUM, unbiased_hsic
from layerfuse.core.layers import LayerRef, LayerRows
from layerfuse.core.sample import sample_texts
from layerfuse.core.scores import LayerScores
from layerfuse.core.selection import Selection
from layerfuse.select.kernels import (
    MAX_TEXTS,
    layer_kernel,
    read_standardized,
    shortest_sufficient,
)
from layerfuse.select.limits import check_k

CKA_TEXTS = 500
"""Texts on which layers are compared; the kernels of all layers are in memory at once."""


def mrmr(
    scores: LayerScores,
    embeddings: Sequence[LayerRows],
    labels: ClassIndices,
    k: int | None = None,
    *,
    random_state: int = 0,
) -> Selection:
    """Choose layers by minimum redundancy and maximum relevance, over all backbones together.

    It starts from the best layer and adds, one at a time, the layer l with the highest

        (s_l - min s) / (max s - min s) - mean over chosen m of CKA(l, m).

    Scores are normalised over all layers, so that both terms lie within 0 .. 1. The worst layer has
    relevance 0, and a copy of a chosen layer has redundancy 1 with it.

    Parameters
    ----------
    scores : LayerScores
        Relevance of the layers.
    embeddings : sequence of LayerEmbeddings
        One per backbone.
    labels : int array of shape (text,)
        Class indices; without k, they decide the number of layers.
    k : int, optional
        Layers over all backbones. Default: the shortest prefix of the order that no longer prefix
        beats by more than one standard error in leave-one-out ridge; at most 12.
    random_state : int
        Draws 500 texts for CKA, and 1,500 for the number of layers.

    Returns
    -------
    Selection
        Layers in the order in which they were added.

    Raises
    ------
    SelectionError
        If k is not within 1 .. number of scored layers, or there are fewer than four texts.

    Source
    ------
    Peng, Long and Ding 2005, IEEE TPAMI 27(8), equation 6, and its section 3 for nested sets. CKA:
    Kornblith et al. 2019, arXiv:1905.00414, with the unbiased HSIC of Song et al. 2012, JMLR 13,
    equation 5; the biased one finds wide layers similar if texts are few.
    """
    check_k(k, scores)
    if len(labels) < HSIC_MINIMUM:
        raise SelectionError(
            f"selector='mrmr' compares layers by CKA, which needs {HSIC_MINIMUM} texts or more, "
            f"got {len(labels)}."
        )
    order = _order(scores, embeddings, sample_texts(labels, CKA_TEXTS, random_state))
    if k is not None:
        why = f"the {k} of high {scores.criterion} and low similarity to each other"
        return Selection(tuple(islice(order, k)), why)
    rows = sample_texts(labels, MAX_TEXTS, random_state)
    refs = shortest_sufficient(order, embeddings, labels, rows)
    return Selection(refs, f"high {scores.criterion}, little alike, and as many as help")


def _order(
    scores: LayerScores, embeddings: Sequence[LayerRows], rows: np.ndarray
) -> Iterator[LayerRef]:
    """Yield all scored layers, most preferred first."""
    values = np.array(scores.values)
    width = np.ptp(values)
    relevance = (values - values.min()) / width if width > 0 else np.zeros(len(values))
    kernels = [
        layer_kernel(x).astype(np.float32)
        for _, x in read_standardized(embeddings, scores.refs, rows)
    ]
    norms = [np.sqrt(max(0.0, unbiased_hsic(kernel, kernel))) for kernel in kernels]
    redundancy = np.zeros(len(values))  # sum over the chosen
    left = list(range(len(values)))
    while left:
        n_chosen = len(values) - len(left)
        preference = relevance - redundancy / max(1, n_chosen)
        chosen = max(left, key=lambda i: float(preference[i]))
        left.remove(chosen)
        yield scores.refs[chosen]
        for i in left:
            norm = norms[i] * norms[chosen]
            if norm > 0:  # a constant layer is similar to none
                redundancy[i] += max(0.0, unbiased_hsic(kernels[i], kernels[chosen]) / norm)
