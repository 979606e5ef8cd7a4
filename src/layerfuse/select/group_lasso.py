"""``group_lasso``: layers in the order in which a regression on all of them takes them up."""

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
"""Principal components that stand for a layer."""

_STEP = 0.9  # from one penalty to the next
_LOWEST = 0.05  # in units of the penalty that takes up no layer
_TOLERANCE = 1e-3  # of that penalty: enough to tell which blocks are in use
_MAX_SWEEPS = 100


def group_lasso(
    scores: LayerScores,
    embeddings: Sequence[LayerRows],
    labels: ClassIndices,
    k: int | None = None,
    *,
    random_state: int = 0,
) -> Selection:
    """Choose the layers that a group lasso on all of them takes up first.

    Each layer is a block X_l of its 32 leading principal components, whitened. Targets Y are
    one-hot, centred. As the penalty a of

        1 / (2 n) |Y - sum_l X_l B_l|^2 + a sum_l sqrt(p_l) |B_l|,    p_l the width of X_l,

    falls from where every B_l is 0, blocks come into use; the order in which they do is the order
    of preference. A layer that repeats one in use comes late or never. Scores only tell which
    layers may be chosen.

    Parameters
    ----------
    scores : LayerScores
        Their layers are the candidates.
    embeddings : sequence of LayerEmbeddings
        One per backbone.
    labels : int array of shape (text,)
        Class indices.
    k : int, optional
        Layers over all backbones. Default: the shortest beginning of the order that no longer one
        is better than by more than one standard error, in leave-one-out ridge; at most 12. The
        penalty falls no further than that asks for.
    random_state : int
        Draws the texts to look at, where there are more than 1,500.

    Returns
    -------
    Selection
        In the order of coming into use.

    Raises
    ------
    SelectionError
        If k is not within 1 .. number of scored layers, or the path ends before k are in use.

    Source
    ------
    Yuan and Lin 2006, JRSS B 68(1), equations 2.2 to 2.4: with orthonormal blocks each step of
    block coordinate descent is closed.
    """
    check_k(k, scores)
    rows = sample_texts(labels, MAX_TEXTS, random_state)
    targets = one_hot(labels[rows])
    blocks = {ref: whitened(x) for ref, x in read_standardized(embeddings, scores.refs, rows)}
    blocks = {ref: block for ref, block in blocks.items() if block.shape[1]}  # else it never varies
    order = _order(blocks, targets - targets.mean(0)) if blocks else iter(scores.ranked()[:1])
    if k is None:
        refs = shortest_sufficient(order, embeddings, labels, rows)
        return Selection(refs, "first in use by a group lasso, and as many as help")
    refs = tuple(islice(order, k))
    if len(refs) < k:
        raise SelectionError(
            f"k={k}, but group_lasso takes up {len(refs)} layers. Choose 1 to that."
        )
    return Selection(refs, f"the {k} first in use by a group lasso")


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
        Where to start; the solution afterwards.
    tolerance : float
        Most that a coefficient may still change in a sweep over all blocks.
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
        # Sweeps over blocks in use are cheap; one over all tells whether others come in.
        if change > tolerance:
            sweep = [i for i, b in enumerate(coefficients) if b.any()]
        elif sweep is everywhere:
            return
        else:
            sweep = everywhere


def _order(blocks: dict[LayerRef, Block], targets: Targets) -> Iterator[LayerRef]:
    """Yield layers as the falling penalty brings them into use, together the strongest first."""
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
