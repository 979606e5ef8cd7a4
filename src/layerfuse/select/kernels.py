"""Kernels of layers on a sample of texts, and the leave-one-out loss of several layers together."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from layerfuse.core.arrays import ClassIndices, Features, Kernel, PerText, Targets
from layerfuse.core.layers import LayerRef, LayerRows
from layerfuse.core.ridge import one_hot
from layerfuse.core.standardize import Standardizer

MAX_TEXTS = 1500
"""Most texts in a step, whose cost is cubic in them; more texts do not rank candidates better."""

MAX_LAYERS = 12
"""Most layers that are chosen without k."""

# In units of the mean diagonal of the kernel. The largest nearly switches a kernel off. Without it,
# a layer of noise seems to help, because it dilutes the noise of the layers before it.
_PENALTIES = (0.03, 0.3, 3.0, 30.0)

_PATIENCE = 2  # layers without progress after which the search stops


def read_standardized(
    embeddings: Sequence[LayerRows], refs: Iterable[LayerRef], rows: np.ndarray
) -> Iterator[tuple[LayerRef, Features]]:
    """Yield each layer with its features of some texts, standardised, one layer at a time.

    Parameters
    ----------
    embeddings : sequence of LayerRows
        One per backbone.
    refs : iterable of LayerRef
        Layers to read.
    rows : int array
        Positions of the texts to read.

    Raises
    ------
    LayerError
        If the embeddings lack one of the layers.
    """
    by_name = {block.backbone: block for block in embeddings}
    for ref in refs:
        features = by_name[ref.backbone].row(ref)[rows]
        yield ref, Standardizer.fit(features).apply(features)


def layer_kernel(features: Features) -> Kernel:
    """Return the linear kernel (text, text) of standardised features, with mean diagonal 1.

    A constant layer gives a kernel of zeros.
    """
    kernel: Kernel = (features @ features.T).astype(np.float64)
    scale = float(np.trace(kernel)) / len(kernel)
    return kernel / scale if scale > 0 else kernel


def loo_losses(kernel: Kernel, n_blocks: int, targets: Targets) -> PerText:
    """Return leave-one-out Brier losses (text,) of kernel ridge under the best of four penalties.

    With A = (K + a I)^-1 bordered by the unpenalised intercept, the residual is (A y)_i / A_ii.

    Parameters
    ----------
    kernel : array of shape (text, text)
        Sum of the kernels of the blocks, which is the kernel of their block-scaled concatenation.
    n_blocks : int
        Number of blocks; the penalties are proportional to it.
    targets : array of shape (text, class)
        One-hot.
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


def surely_lower(losses: PerText, than: PerText) -> bool:
    """Return whether losses are lower by more than one standard error of the paired difference."""
    gain = than - losses
    return bool(gain.mean() > gain.std() / np.sqrt(len(gain)))


def shortest_sufficient(
    order: Iterable[LayerRef],
    embeddings: Sequence[LayerRows],
    labels: ClassIndices,
    rows: np.ndarray,
) -> tuple[LayerRef, ...]:
    """Return the shortest prefix of an order of layers that no longer prefix beats.

    A prefix beats another if the leave-one-out Brier score of a ridge classifier on its
    block-scaled concatenation is lower by more than one standard error of the paired difference.
    The prefix grows until two layers in a row have not lowered the score, or to 12 layers.

    Parameters
    ----------
    order : iterable of LayerRef
        Most preferred first; read only as far as needed.
    embeddings : sequence of LayerRows
        One per backbone.
    labels : int array of shape (text,)
        Class indices of all texts.
    rows : int array
        Positions of the texts that the scores are computed on.

    Returns
    -------
    tuple of LayerRef
        At least one layer.

    Source
    ------
    The one-standard-error rule of Breiman et al. 1984, *CART*, section 3.4.3, over nested sets as
    in Peng, Long and Ding 2005, IEEE TPAMI 27(8), section 3.
    """
    taken: list[LayerRef] = []
    losses: list[PerText] = []
    targets = one_hot(labels[rows])
    total = np.zeros((len(rows), len(rows)))
    best = 0
    for ref, features in read_standardized(embeddings, islice(order, MAX_LAYERS), rows):
        taken.append(ref)
        total += layer_kernel(features)
        losses.append(loo_losses(total, len(taken), targets))
        if losses[-1].mean() < losses[best].mean():
            best = len(losses) - 1
        if len(losses) - 1 - best == _PATIENCE:
            break
    enough = next(i for i in range(len(taken)) if not surely_lower(losses[best], losses[i]))
    return tuple(taken[: enough + 1])
