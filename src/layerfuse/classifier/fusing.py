"""Chooses a selection, a fusion and a head by their log loss on held-out training texts."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from layerfuse.core.arrays import Block
from layerfuse.core.blocks import StreamedBlocks
from layerfuse.core.layers import LayerRef
from layerfuse.core.selection import Selection
from layerfuse.core.supervision import Supervision
from layerfuse.fuse import FUSIONS, Fusion, FusionName
from layerfuse.fuse.sources import source_names
from layerfuse.train import (
    HeadCandidate,
    HeadChoice,
    LexicalChoice,
    PooledHead,
    Words,
    fit_head,
    fit_words,
    join_words,
)

FusionChoice = Literal["auto"] | FusionName

GATES_FROM_TEXTS = 2000
"""Gates by text learn hundreds of weights; with fewer texts they are not tried."""

STACKING_FROM_TEXTS = 100
"""With fewer texts ``stacking`` is not tried: its probes see the texts that its weights are
validated on, so random labels seem learnable.

Mean held-out log loss of 24 draws of random labels, two classes, ``stacking`` and ``concat``: 0.612
and 0.675 on 12 texts, 0.651 and 0.681 on 24, 0.684 and 0.690 on 64, 0.689 and 0.691 on 96
(``benchmarks/random_labels.py``).
"""


@dataclass(frozen=True, slots=True)
class FusionTrial:
    """Quality of one fusion on held-out training texts.

    Parameters
    ----------
    fusion : FusionName
        The fusion.
    log_loss : float
        Mean held-out log loss of the best head on the fusion, in nats, with the TF-IDF head if that
        joins; lower is better.
    accuracy : float
        Share of held-out texts that are predicted correctly.
    gain_errors : float
        By how many standard errors of the paired difference its log loss is below that of the best
        fusion before; above 1 it replaces that. 0 for the first.
    seconds : float
        Duration of the trial.
    """

    fusion: FusionName
    log_loss: float
    accuracy: float
    gain_errors: float
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class FusedHead:
    """A fitted fusion, its head (with the TF-IDF head if that joins), and their validation.

    Parameters
    ----------
    fusion : Fusion
        Fitted on all texts.
    head : PooledHead
        Fitted on all texts.
    validation : tuple of HeadCandidate
        Held-out quality of each kind of head on this fusion. Its predictions are dropped once all
        comparisons are made.
    trials : tuple of FusionTrial
        Every fusion tried, in order; only this one until it is compared.
    """

    fusion: Fusion
    head: PooledHead
    validation: tuple[HeadCandidate, ...]
    trials: tuple[FusionTrial, ...]

    @property
    def best(self) -> HeadCandidate:
        """Held-out quality of the head in use."""
        return next(c for c in self.validation if c.kind == self.head.candidate)


def shortlist(refs: Sequence[LayerRef], n_texts: int) -> tuple[FusionName, ...]:
    """Return the fusions that ``auto`` tries, the simplest first.

    Parameters
    ----------
    refs : sequence of LayerRef
        The selected layers.
    n_texts : int
        Number of training texts.

    Returns
    -------
    tuple of FusionName
        Always ``concat``; ``mean`` if a source has several layers; with several sources also
        ``static_gate``, ``stacking`` from 100 texts on, and ``gated`` from 2,000.
    """
    n_sources = len(source_names(refs))
    names: list[FusionName] = ["concat"]
    if len(refs) > n_sources:
        names.append("mean")
    if n_sources > 1:
        names.append("static_gate")
        if n_texts >= STACKING_FROM_TEXTS:
            names.append("stacking")
        if n_texts >= GATES_FROM_TEXTS:
            names.append("gated")
    return tuple(names)


def fuse_best(
    selections: Sequence[Selection],
    read: Callable[[Selection], Sequence[Block]],
    texts: Sequence[str],
    supervision: Supervision,
    *,
    fusion: FusionChoice = "auto",
    head: HeadChoice = "auto",
    lexical: LexicalChoice = "auto",
) -> tuple[Selection, FusedHead]:
    """Choose one of several selections, and fit a fusion and a head on it.

    Selections are compared by held-out log loss on the training texts, with the TF-IDF head if that
    joins, but always under ``concat``. A later selection replaces the best one before it if it is
    better by more than one standard error of the paired difference.

    Parameters
    ----------
    selections : sequence of Selection
        The one to keep in case of doubt first.
    read : callable
        Returns the blocks of a selection.
    texts, supervision, fusion, head, lexical
        As in ``fuse_and_train``.

    Returns
    -------
    selection : Selection
        The chosen selection; if several were compared, its reason gives their losses.
    fused : FusedHead
        Fitted on this selection.
    """
    words = fit_words(texts, supervision, lexical=lexical)
    best, *others = _of_different_layers(selections)
    blocks = read(best)
    while others and not _vary(blocks):  # constant layers score best if labels are random
        best, *others = others
        blocks = read(best)
    if not others:
        return best, _fuse(blocks, best.refs, supervision, fusion, head, words)
    fitted = _fit("concat", blocks, best.refs, supervision, head, words)
    losses = {best: fitted.best.log_loss}
    for other in others:
        other_blocks = read(other)
        if not _vary(other_blocks):
            continue
        tried = _fit("concat", other_blocks, other.refs, supervision, head, words)
        losses[other] = tried.best.log_loss
        if tried.best.gain_errors(fitted.best, supervision) > 1:
            best, blocks, fitted = other, other_blocks, tried
        del other_blocks, tried  # before the next ones are read, as both may take gigabytes
    rivals = [f"{one.reason}: {loss:.3f}" for one, loss in losses.items() if one != best]
    why = f"{best.reason}, held-out log loss {losses[best]:.3f} ({'; '.join(rivals)})"
    fused = _fuse(blocks, best.refs, supervision, fusion, head, words, fitted)
    return Selection(best.refs, why), fused


def _vary(blocks: Sequence[Block]) -> bool:
    """Return whether any block differs between any two texts; that of a dead layer does not."""
    return any((block != block[0]).any() for block in blocks)


def fuse_and_train(
    blocks: Sequence[Block],
    refs: Sequence[LayerRef],
    texts: Sequence[str],
    supervision: Supervision,
    *,
    fusion: FusionChoice = "auto",
    head: HeadChoice = "auto",
    lexical: LexicalChoice = "auto",
) -> FusedHead:
    """Fit a fusion and a head.

    ``auto`` fits every fusion of the short list and compares their held-out log losses on the
    training texts. It starts from the simplest; a later one replaces it only if it is better by
    more than one standard error of the paired difference, so that chance seldom decides. If blocks
    are streamed because they are too large for memory, ``auto`` is ``concat``.

    Parameters
    ----------
    blocks : sequence of float32 array of shape (text, feature)
        The selected layers.
    refs : sequence of LayerRef
        One per block.
    texts : sequence of str
        For the TF-IDF head.
    supervision : Supervision
        Labels and weights of the texts.
    fusion : FusionChoice
        A name, or ``auto``.
    head, lexical
        As in ``fit_head`` and ``fit_words``.

    Returns
    -------
    FusedHead
        Fitted on all texts.
    """
    words = fit_words(texts, supervision, lexical=lexical)
    return _fuse(blocks, refs, supervision, fusion, head, words)


def _of_different_layers(selections: Sequence[Selection]) -> list[Selection]:
    """Of selections with the same layers, keep the first."""
    by_layers: dict[frozenset[LayerRef], Selection] = {}
    for selection in selections:
        by_layers.setdefault(frozenset(selection.refs), selection)
    return list(by_layers.values())


def _fuse(
    blocks: Sequence[Block],
    refs: Sequence[LayerRef],
    supervision: Supervision,
    fusion: FusionChoice,
    head: HeadChoice,
    words: Words | None,
    concat: FusedHead | None = None,
) -> FusedHead:
    """Fit a fusion or the best of the short list; ``concat`` may already be fitted."""
    names: tuple[FusionName, ...]
    if fusion != "auto":
        names = (fusion,)
    elif isinstance(blocks, StreamedBlocks):
        names = ("concat",)  # all others hold every block in memory
    else:
        names = shortlist(refs, len(supervision.labels))
    first, *others = names
    fitted = concat if first == "concat" else None
    best = fitted or _fit(first, blocks, refs, supervision, head, words)
    trials = [*best.trials]
    for name in others:
        tried = _fit(name, blocks, refs, supervision, head, words)
        gain = tried.best.gain_errors(best.best, supervision)
        (trial,) = tried.trials
        trials.append(dataclasses.replace(trial, gain_errors=gain))
        if gain > 1:
            best = tried
    # The classifier keeps the candidates, but needs no prediction per text any more.
    empty = np.empty((0, 0))
    validation = tuple(dataclasses.replace(one, held_out=empty) for one in best.validation)
    return dataclasses.replace(best, validation=validation, trials=tuple(trials))


def _fit(
    name: FusionName,
    blocks: Sequence[Block],
    refs: Sequence[LayerRef],
    supervision: Supervision,
    head: HeadChoice,
    words: Words | None,
) -> FusedHead:
    started = time.perf_counter()
    if name != "concat":
        blocks = list(blocks)  # all others need all blocks in memory
    fusion, vectors = FUSIONS[name].fit_fuse(blocks, refs, supervision)
    fitted, candidates = fit_head(vectors, supervision, head=head)
    pooled, candidates = join_words(fitted, candidates, supervision, words)
    best = next(one for one in candidates if one.kind == pooled.candidate)
    seconds = time.perf_counter() - started
    trial = FusionTrial(name, best.log_loss, best.accuracy, gain_errors=0.0, seconds=seconds)
    return FusedHead(fusion, pooled, candidates, (trial,))
