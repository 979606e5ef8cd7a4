"""One of several selections, a fusion of it and a head, chosen on training texts held out."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from layerfuse.core.arrays import Block
from layerfuse.core.blocks import StreamedBlocks
from layerfuse.core.calibrate import gain_in_errors, text_log_losses
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
"""Gates by text have hundreds of weights to learn; on fewer texts they are not tried."""

STACKING_FROM_TEXTS = 100
"""Probes see the texts that judge their pool: with few, labels without meaning seem learnable.

Mean held-out log loss of 24 draws of such labels, two classes, ``stacking`` and ``concat``: 0.612
and 0.675 on 12 texts, 0.651 and 0.681 on 24, 0.684 and 0.690 on 64, 0.689 and 0.691 on 96
(``benchmarks/random_labels.py``).
"""


@dataclass(frozen=True, slots=True)
class FusionTrial:
    """What held-out training texts said of one fusion.

    Parameters
    ----------
    fusion : FusionName
        What was tried.
    log_loss : float
        Mean over held-out texts of the best head on it, with words where they join it, in nats;
        lower is better.
    accuracy : float
        Share of held-out texts predicted right.
    gain_errors : float
        How far its log loss is below that of the best one tried before, in standard errors of the
        paired difference; above 1 it takes its place. 0 for the first.
    seconds : float
        What the trial took.
    """

    fusion: FusionName
    log_loss: float
    accuracy: float
    gain_errors: float
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class FusedHead:
    """A fitted fusion, the head on it with words where they join, and how they were found.

    Parameters
    ----------
    fusion : Fusion
        Fitted on all texts.
    head : PooledHead
        Fitted on all texts.
    validation : tuple of HeadCandidate
        Held-out quality of each kind of head on this fusion; without its predictions once nothing
        is left to compare them with.
    trials : tuple of FusionTrial
        Every fusion tried, in order: itself alone until it is compared.
    """

    fusion: Fusion
    head: PooledHead
    validation: tuple[HeadCandidate, ...]
    trials: tuple[FusionTrial, ...]

    @property
    def best(self) -> HeadCandidate:
        """What held-out texts say of the head."""
        return next(c for c in self.validation if c.kind == self.head.candidate)


def shortlist(refs: Sequence[LayerRef], n_texts: int) -> tuple[FusionName, ...]:
    """Return the fusions worth trying, the simplest first.

    Parameters
    ----------
    refs : sequence of LayerRef
        The selected layers.
    n_texts : int
        Training texts.

    Returns
    -------
    tuple of FusionName
        ``concat`` alone for one layer. ``mean`` where some source has several layers;
        ``static_gate`` where there are several sources, ``stacking`` too from 100 texts on, and
        ``gated`` from 2,000.
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
    """Take one of several selections, and fit a fusion and a head on it.

    Selections are judged as they will be used, words included, by log loss on training texts that
    were held out, though always on their ``concat``. The first stands, and a later one takes its
    place if it is better by more than one standard error of the paired difference.

    Parameters
    ----------
    selections : sequence of Selection
        The one with fewer layers first.
    read : callable
        Returns the blocks of a selection.
    texts, supervision, fusion, head, lexical
        As in ``fuse_and_train``.

    Returns
    -------
    selection : Selection
        The one taken; its reason tells the losses.
    fused : FusedHead
        On it.
    """
    words = fit_words(texts, supervision, lexical=lexical)
    best, *others = _of_different_layers(selections)
    blocks = read(best)
    while others and not _vary(blocks):  # where nothing is learnt, what says nothing scores best
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
        if _gain_errors(fitted.best, tried.best, supervision) > 1:
            best, blocks, fitted = other, other_blocks, tried
        del other_blocks, tried  # or they would stand beside those of the next, gigabytes maybe
    rivals = [f"{one.reason}: {loss:.3f}" for one, loss in losses.items() if one != best]
    why = f"{best.reason}, held-out log loss {losses[best]:.3f} ({'; '.join(rivals)})"
    fused = _fuse(blocks, best.refs, supervision, fusion, head, words, fitted)
    return Selection(best.refs, why), fused


def _vary(blocks: Sequence[Block]) -> bool:
    """Tell whether any block tells any two texts apart; those of a dead layer do not."""
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

    ``auto`` fits every fusion of the short list and judges each by its log loss on training
    texts that were held out. The simplest stands first, and a later one takes its place only if it
    is better by more than one standard error of the paired difference, so that chance seldom does.
    Of blocks that are streamed, since all together are too large, it is ``concat``.

    Parameters
    ----------
    blocks : sequence of float32 array of shape (text, feature)
        The selected layers.
    refs : sequence of LayerRef
        What they are.
    texts : sequence of str
        For the lexical head.
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
    """Return the first of all that hold the same layers."""
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
    """Fit what was asked for; ``concat`` may be fitted already, on the same layers."""
    names: tuple[FusionName, ...]
    if fusion != "auto":
        names = (fusion,)
    elif isinstance(blocks, StreamedBlocks):
        names = ("concat",)  # all others hold every block, which these are too large for
    else:
        names = shortlist(refs, len(supervision.labels))
    first, *others = names
    known = concat if first == "concat" else None
    best = known or _fit(first, blocks, refs, supervision, head, words)
    trials = [*best.trials]
    for name in others:
        tried = _fit(name, blocks, refs, supervision, head, words)
        gain = _gain_errors(best.best, tried.best, supervision)
        (trial,) = tried.trials
        trials.append(dataclasses.replace(trial, gain_errors=gain))
        if gain > 1:
            best = tried
    # What people read of candidates has no number for each text and class.
    nothing = np.empty((0, 0))
    told = tuple(dataclasses.replace(one, held_out=nothing) for one in best.validation)
    return dataclasses.replace(best, validation=told, trials=tuple(trials))


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
        blocks = list(blocks)  # all others look at all sources of a text together
    fusion, vectors = FUSIONS[name].fit_fuse(blocks, refs, supervision)
    fitted, candidates = fit_head(vectors, supervision, head=head)
    pooled, candidates = join_words(fitted, candidates, supervision, words)
    best = next(one for one in candidates if one.kind == pooled.candidate)
    seconds = time.perf_counter() - started
    trial = FusionTrial(name, best.log_loss, best.accuracy, gain_errors=0.0, seconds=seconds)
    return FusedHead(fusion, pooled, candidates, (trial,))


def _gain_errors(before: HeadCandidate, after: HeadCandidate, supervision: Supervision) -> float:
    """Return by how many standard errors the second is better on the same held-out texts."""
    losses = [text_log_losses(one.held_out, supervision.labels) for one in (before, after)]
    weights = supervision.held_out_weights()
    return gain_in_errors(losses[0] - losses[1], weights, supervision.groups)
