"""``selection_stability``: how often each layer is chosen on resamples of the texts."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from layerfuse.core.arrays import ClassIndices, TextLayer
from layerfuse.core.costs import Budget
from layerfuse.core.errors import LabelError, SelectionError, as_integer, check_option
from layerfuse.core.layers import LayerEmbeddings, LayerRef, LayerRows
from layerfuse.core.sample import sample_texts
from layerfuse.core.scores import LayerScores
from layerfuse.core.selection import Stability
from layerfuse.select.layers import (
    BY_EMBEDDINGS,
    SELECTOR_NAMES,
    SelectorName,
    check_evidence,
    select_layers,
)

MAX_TEXTS = 600
"""Most texts held in memory, at all layers, if scores must be computed again."""

_PAIR = 2  # fewest texts of a class of which one can be held out

Rescore = Callable[[Sequence[LayerRows], ClassIndices], LayerScores]
"""``score_layers`` for one criterion."""


def selection_stability(
    scores: LayerScores,
    selector: SelectorName = "upper_half",
    *,
    k: int | None = None,
    embeddings: LayerRows | Sequence[LayerRows] | None = None,
    labels: Any = None,
    budget: Budget | None = None,
    rescore: Rescore | None = None,
    sampled: bool = False,
    candidates: Collection[LayerRef] | None = None,
    n_resamples: int | None = None,
    random_state: int = 0,
) -> Stability:
    """Repeat the choice on resamples of the texts, and count how often each layer is chosen.

    If a score is the mean of one number per text (``scores.per_text``) and the selector uses only
    scores, these numbers are bootstrapped without refitting. This ignores how the fits would change
    with the texts, which hardly matters for leave-one-out errors of thousands of texts.

    Otherwise the whole choice is repeated on halves drawn without replacement, because a text drawn
    twice would be its own training text in every leave-one-out or cross-validated score. Every
    class of four texts or more is in each half. Of the classes of two or three texts, each half has
    half of the classes, with two texts each. Halves are drawn from at most 600 texts, so they have
    300 or fewer, and shares err on the side of instability.

    Parameters
    ----------
    scores : LayerScores
        As given to ``select_layers``.
    selector, k, embeddings, labels, budget
        As given to ``select_layers``. Embeddings and labels are also needed if scores have no
        number per text.
    rescore : callable, optional
        Maps the embeddings and class indices of a half to LayerScores, such as ``score_layers``
        with its criterion. Needed if scores have no number per text.
    sampled : bool
        Whether ``rescore`` uses a sample of fixed size, as signals do. If so, the standard errors
        do not fall with the number of texts.
    candidates : collection of LayerRef, optional
        Layers that may be chosen; the share of all others is 0. Default: all scored layers.
    n_resamples : int, optional
        Number of resamples. Default: 200 for the bootstrap, 20 for halves.
    random_state : int
        Draws the resamples.

    Returns
    -------
    Stability
        Shares and standard errors of all scored layers.

    Raises
    ------
    SelectionError
        If ``n_resamples`` is below 1, or what is needed to score or choose again is missing.
    LabelError
        If halves are drawn and fewer than two classes have two texts or more, or all halves would
        be equal: they differ only if a class has three texts or three classes have two.

    Source
    ------
    Bootstrap: Efron 1979. Shares over halves: Meinshausen and Bühlmann 2010, JRSS B 72(4), section
    2.1. The spread over halves is the standard error for the texts that halves are drawn from, by
    the delete-d jackknife of Shao and Wu 1989, Annals of Statistics 17(3), with d = n / 2. For all
    texts it is assumed to fall with the square root of their number.
    """
    check_option("selector", selector, SELECTOR_NAMES)
    if n_resamples is not None and as_integer("n_resamples", n_resamples) < 1:
        raise SelectionError(f"n_resamples={n_resamples}: expected 1 or more.")
    rng = np.random.default_rng(random_state)
    if scores.per_text is not None and selector not in BY_EMBEDDINGS:
        draws = _bootstrapped(scores, scores.per_text, rng, n_resamples or 200)
        share = 1.0
    else:
        if embeddings is None or labels is None:
            raise SelectionError(
                f"The stability of selector={selector!r} by {scores.criterion} needs "
                "embeddings=... and labels=..., got none."
            )
        blocks, classes = check_evidence(scores, embeddings, labels)
        pool = _pool(classes, rng)
        draws = _halved(scores, blocks, classes, pool, rescore, rng, n_resamples or 20)
        share = 1.0 if sampled else len(pool) / len(classes)
    counts = dict.fromkeys(scores.refs, 0)
    values = []
    for draw in draws:
        chosen = select_layers(
            draw.scores.among(scores.refs if candidates is None else candidates),
            selector,
            k=k,
            embeddings=draw.embeddings,
            labels=draw.labels,
            budget=budget,
            random_state=random_state,
        )
        values.append([draw.scores[ref] for ref in scores.refs])
        for ref in chosen:
            counts[ref] += 1
    return Stability(
        scores.refs,
        tuple(counts[ref] / len(values) for ref in scores.refs),
        tuple((np.sqrt(share) * np.std(values, axis=0)).tolist()) if len(values) > 1 else (),
        len(values),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Draw:
    """Scores on a resample of the texts, with its embeddings and labels if they are needed."""

    scores: LayerScores
    embeddings: Sequence[LayerRows] | None = None
    labels: ClassIndices | None = None


def _bootstrapped(
    scores: LayerScores, per_text: TextLayer, rng: np.random.Generator, n_resamples: int
) -> Iterator[_Draw]:
    for _ in range(n_resamples):
        drawn = per_text[rng.integers(len(per_text), size=len(per_text))]
        yield _Draw(LayerScores.from_per_text(scores.criterion, scores.refs, drawn))


def _halved(
    scores: LayerScores,
    blocks: Sequence[LayerRows],
    classes: ClassIndices,
    pool: np.ndarray,
    rescore: Rescore | None,
    rng: np.random.Generator,
    n_resamples: int,
) -> Iterator[_Draw]:
    held = [_in_memory(block, scores.of(block.backbone).refs, pool) for block in blocks]
    for _ in range(n_resamples):
        half = _half(classes[pool], rng)
        embeddings, half_classes = [block.take(half) for block in held], classes[pool[half]]
        if scores.per_text is not None and len(scores.per_text) == len(classes):
            drawn = scores.per_text[pool[half]]
            half_scores = LayerScores.from_per_text(scores.criterion, scores.refs, drawn)
        elif rescore is not None:
            half_scores = rescore(embeddings, half_classes)
        else:
            raise SelectionError(
                f"{scores.criterion} has no number per text: its stability needs rescore=..., "
                "which scores the layers on other texts."
            )
        yield _Draw(half_scores, embeddings, half_classes)


def _in_memory(block: LayerRows, refs: tuple[LayerRef, ...], texts: np.ndarray) -> LayerEmbeddings:
    return LayerEmbeddings(np.stack([block.row(ref)[texts] for ref in refs]), refs)


def _lacking(classes: ClassIndices) -> str:
    """Return what is missing for halves that differ and have two classes; empty if nothing is."""
    counts = np.bincount(classes)
    several = int((counts > 1).sum())
    if several < min(2, int((counts > 0).sum())):
        return "two classes of two texts or more"
    if counts.max() <= _PAIR and several <= 2:  # noqa: PLR2004 - every half has both
        return "three texts of one class, or three classes of two texts, to differ"
    return ""


def _pool(classes: ClassIndices, rng: np.random.Generator) -> np.ndarray:
    """Return positions of the texts that halves are drawn from, stratified by class if possible.

    If there are so many classes that each would have one text, whole classes are drawn instead.
    """
    if lacking := _lacking(classes):
        raise LabelError(
            f"Stability draws halves of the texts, which need {lacking}, got counts "
            f"{np.bincount(classes).tolist()}. Add texts, or switch the resamples off."
        )
    pool = sample_texts(classes, MAX_TEXTS, int(rng.integers(2**31)))
    if not _lacking(classes[pool]):
        return pool
    counts = np.bincount(classes)
    several = rng.permutation(np.flatnonzero(counts > 1))
    fit = max(3, int((np.cumsum(counts[several]) <= MAX_TEXTS).sum()))
    return np.flatnonzero(np.isin(classes, several[:fit]))


def _half(classes: ClassIndices, rng: np.random.Generator) -> np.ndarray:
    """Return positions of half of the texts of each class, or of two texts of half of the classes.

    Classes of one text are left out, because no text of them can be held out. For the same reason
    classes of two or three texts contribute two. If all of these were in every half, halves would
    hardly differ, so each half has half of them. Every half has at least two classes if there are
    two.
    """
    shuffled = rng.permutation(len(classes))
    parts = [shuffled[classes[shuffled] == label] for label in np.unique(classes)]
    large = [part[: len(part) // 2] for part in parts if len(part) >= 2 * _PAIR]
    small = [part[:_PAIR] for part in parts if _PAIR <= len(part) < 2 * _PAIR]
    n_small = max(-(-len(small) // 2), 2 - len(large))
    drawn = rng.permutation(len(small))[:n_small].tolist()
    return np.sort(np.concatenate([*large, *(small[i] for i in drawn)]))
