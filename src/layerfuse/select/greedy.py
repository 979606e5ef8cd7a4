"""``greedy``: add the layer that helps most beside those already chosen, until none does."""

from collections.abc import Mapping, Sequence

import numpy as np

from layerfuse.core.arrays import ClassIndices, Kernel, PerText, Targets
from layerfuse.core.layers import LayerRef, LayerRows
from layerfuse.core.ridge import one_hot
from layerfuse.core.scores import LayerScores
from layerfuse.core.selection import Selection
from layerfuse.core.standardize import Standardizer

MAX_TEXTS = 1500
"""A step costs the cube of the texts it looks at; more texts order the candidates no better."""

# In units of the mean diagonal of the kernel. The last all but switches a kernel off: without it a
# layer of noise seems to help by thinning out the noise of those before it.
_PENALTIES = (0.03, 0.3, 3.0, 30.0)


def greedy(
    scores: LayerScores,
    embeddings: Sequence[LayerRows],
    labels: ClassIndices,
    *,
    per_backbone: int = 4,
    max_layers: int = 12,
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
        The ``per_backbone`` best of each backbone are the candidates.
    embeddings : sequence of LayerEmbeddings
        One per backbone.
    labels : int array of shape (text,)
        Class indices.
    per_backbone : int
        Candidates of each backbone.
    max_layers : int
        Most layers to choose.
    random_state : int
        Draws the texts to look at, where there are more than 1,500.

    Returns
    -------
    Selection
        In the order chosen.

    Source
    ------
    Forward selection with the one-standard-error rule of Breiman et al. 1984, *CART*, section
    3.4.3.
    """
    kernels = _kernels(scores, embeddings, labels, per_backbone, random_state)
    rows = _sample(len(labels), random_state)
    targets = one_hot(np.unique(labels[rows], return_inverse=True)[1])
    chosen = [max(kernels, key=lambda ref: scores[ref])]
    total = kernels[chosen[0]].copy()
    losses = _best_losses(total, 1, targets)
    while len(chosen) < min(max_layers, len(kernels)):
        tried = {
            ref: _best_losses(total + kernel, len(chosen) + 1, targets)
            for ref, kernel in kernels.items()
            if ref not in chosen
        }
        ref = min(tried, key=lambda r: float(tried[r].mean()))
        gain = losses - tried[ref]
        if gain.mean() <= gain.std() / np.sqrt(len(gain)):
            break
        chosen.append(ref)
        total += kernels[ref]
        losses = tried[ref]
    return Selection(tuple(chosen), "each adds more than one standard error to those before it")


def _sample(n_texts: int, random_state: int) -> np.ndarray:
    if n_texts <= MAX_TEXTS:
        return np.arange(n_texts)
    return np.sort(np.random.default_rng(random_state).choice(n_texts, MAX_TEXTS, replace=False))


def _kernels(
    scores: LayerScores,
    embeddings: Sequence[LayerRows],
    labels: ClassIndices,
    per_backbone: int,
    random_state: int,
) -> Mapping[LayerRef, Kernel]:
    """Centred linear kernels (text, text) of the candidates, each with mean diagonal 1."""
    rows = _sample(len(labels), random_state)
    kernels = {}
    for block in embeddings:
        for ref in scores.of(block.backbone).ranked()[:per_backbone]:
            features = Standardizer.fit(block.row(ref)[rows]).apply(block.row(ref)[rows])
            kernel = (features @ features.T).astype(np.float64)
            scale = float(np.trace(kernel)) / len(kernel)
            kernels[ref] = kernel / scale if scale > 0 else kernel
    return kernels


def _best_losses(kernel: Kernel, n_blocks: int, targets: Targets) -> PerText:
    """Leave-one-out Brier losses (text,) of kernel ridge under the best of the penalties.

    With A = (K + a I)^-1 bordered by the unpenalised intercept, the residual is (A y)_i / A_ii.
    """
    candidates = []
    for penalty in _PENALTIES:
        inverse = np.linalg.inv(kernel + penalty * n_blocks * np.eye(len(kernel)))
        ones = inverse.sum(1)
        bordered = inverse - np.outer(ones, ones) / ones.sum()
        errors = (bordered @ targets) / np.diag(bordered)[:, None]
        candidates.append(np.square(errors).sum(1))
    best: PerText = min(candidates, key=lambda losses: float(losses.mean()))
    return best
