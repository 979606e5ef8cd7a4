"""``group_lasso``: layers in the order in which they enter a group lasso on all layers."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import scipy.linalg

from layerfuse.core.arrays import Block, ClassIndices, Features, Targets
from layerfuse.core.errors import SelectionError
from layerfuse.core.layers import LayerRef, LayerRows
from layerfuse.core.ridge import one_hot
from layerfuse.core.sample import sample_texts
from layerfuse.core.scores import LayerScores
from layerfuse.core.selection import Selection
from layerfuse.select.kernels import MAX_TEXTS, read_standardized, shortest_sufficient
from layerfuse.select.limits import check_k

N_COMPONENTS = 32
"""Principal components that represent a layer."""

_STEP = 0.9  # ratio of each penalty to the one before
_LOWEST = 0.05  # smallest penalty, relative to the one at which no layer is active
_TOLERANCE = 1e-3  # relative to the same penalty: enough to see which blocks are active
_MAX_SWEEPS = 100


def group_lasso(
    scores: LayerScores,
    embeddings: Sequence[LayerRows],
    labels: ClassIndices,
    k: int | None = None,
    *,
    random_state: int = 0,
) -> Selection:
    """Choose the layers that enter a group lasso on all layers first.

    Each layer is a block X_l of its 32 leading principal components, whitened. The targets Y are
    one-hot and centred. The penalty a of

        1 / (2 n) |Y - sum_l X_l B_l|^2 + a sum_l sqrt(p_l) |B_l|,    p_l the width of X_l,

    falls from the value at which every B_l is 0. Layers are preferred in the order in which their
    blocks become active. A layer that repeats an active one enters late or never. The values of the
    scores are not used.

    Parameters
    ----------
    scores : LayerScores
        The scored layers are the candidates.
    embeddings : sequence of LayerEmbeddings
        One per backbone.
    labels : int array of shape (text,)
        Class indices.
    k : int, optional
        Layers over all backbones. Default: the shortest prefix of the order that no longer prefix
        beats by more than one standard error in leave-one-out ridge; at most 12. The penalty falls
        only as far as needed.
    random_state : int
        Draws 1,500 texts if there are more.

    Returns
    -------
    Selection
        Layers in the order in which they become active.

    Raises
    ------
    SelectionError
        If k is not within 1 .. number of scored layers, or fewer than k layers become active.

    Source
    ------
    Yuan and Lin 2006, JRSS B 68(1), equations 2.2 to 2.4: with orthonormal blocks each step of
    block coordinate descent has a closed form.
    """
    check_k(k, scores)
    rows = sample_texts(labels, MAX_TEXTS, random_state)
    targets = one_hot(labels[rows])
    blocks = {ref: whitened(x) for ref, x in read_standardized(embeddings, scores.refs, rows)}
    blocks = {ref: block for ref, block in blocks.items() if block.shape[1]}  # drops constant ones
    order = _order(blocks, targets - targets.mean(0)) if blocks else iter(scores.ranked()[:1])
    if k is None:
        refs = shortest_sufficient(order, embeddings, labels, rows)
        return Selection(refs, "the first to enter a group lasso, and as many as help")
    refs = tuple(islice(order, k))
    if len(refs) < k:
        raise SelectionError(
            f"k={k}, but only {len(refs)} layers enter the group lasso. Choose 1 to {len(refs)}."
        )
    return Selection(refs, f"the first {k} to enter a group lasso")


def whitened(features: Features) -> Block:
    """Return up to 32 principal components X of centred features, with X'X = n I."""
    exact = features.astype(np.float64)
    n_texts, width = exact.shape
    gram = exact.T @ exact if width <= n_texts else exact @ exact.T
    first = max(0, len(gram) - N_COMPONENTS)
    values, vectors = scipy.linalg.eigh(gram, subset_by_index=[first, len(gram) - 1])
    varied = values > values[-1] * 1e-10
    values, vectors = values[varied][::-1], vectors[:, varied][:, ::-1]
    left = exact @ (vectors / np.sqrt(values)) if width <= n_texts else vectors
    return np.asarray(left * np.sqrt(n_texts))


def fit_blocks(
    blocks: Sequence[Block],
    targets: Targets,
    penalty: float,
    coefficients: list[np.ndarray],
    tolerance: float,
) -> None:
    """Solve the group lasso for one penalty by block coordinate descent, in place.

    Parameters
    ----------
    blocks : sequence of arrays of shape (text, component)
        Whitened.
    targets : array of shape (text, class)
        Centred.
    penalty : float
        As in ``group_lasso``.
    coefficients : list of arrays of shape (component, class)
        Starting values; overwritten with the solution.
    tolerance : float
        Largest change of a coefficient in a sweep over all blocks that counts as converged.
    """
    n_texts = len(targets)
    residuals = targets - sum(
        (x @ b for x, b in zip(blocks, coefficients, strict=True)), np.zeros_like(targets)
    )
    everywhere = range(len(blocks))
    sweep: Sequence[int] = everywhere
    for _ in range(_MAX_SWEEPS):
        change = 0.0
        for i in sweep:
            block, old = blocks[i], coefficients[i]
            pull = block.T @ residuals / n_texts + old
            norm = float(np.linalg.norm(pull))
            limit = penalty * np.sqrt(block.shape[1])
            new = pull * (1.0 - limit / norm) if norm > limit else np.zeros_like(pull)
            if new.any() or old.any():
                residuals -= block @ (new - old)
                change = max(change, float(np.abs(new - old).max()))
                coefficients[i] = new
        # Sweeps over active blocks are cheap; a sweep over all shows whether others become active.
        if change > tolerance:
            sweep = [i for i, b in enumerate(coefficients) if b.any()]
        elif sweep is everywhere:
            return
        else:
            sweep = everywhere


def _order(blocks: dict[LayerRef, Block], targets: Targets) -> Iterator[LayerRef]:
    """Yield layers as they become active; those that do so together by coefficient norm."""
    refs, columns = list(blocks), list(blocks.values())
    pulls = [np.linalg.norm(x.T @ targets) / len(targets) / np.sqrt(x.shape[1]) for x in columns]
    highest = float(max(pulls))
    coefficients = [np.zeros((x.shape[1], targets.shape[1])) for x in columns]
    seen: set[LayerRef] = set()
    penalty = highest
    while penalty > _LOWEST * highest:
        penalty *= _STEP
        fit_blocks(columns, targets, penalty, coefficients, _TOLERANCE * highest)
        strength = {r: float(np.linalg.norm(b)) for r, b in zip(refs, coefficients, strict=True)}
        new = [ref for ref in refs if strength[ref] > 0 and ref not in seen]
        yield from sorted(new, key=lambda ref: -strength[ref])
        seen |= set(new)
