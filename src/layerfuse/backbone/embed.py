"""Embeds texts in batches: tokenise, sort by length, run, restore the order."""

import functools
import itertools
import warnings
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from layerfuse.backbone.blocks import Blocks
from layerfuse.backbone.budget import TokenBudget
from layerfuse.backbone.cores import Cores, n_torch_threads
from layerfuse.backbone.deberta import attention_by_distance
from layerfuse.backbone.heap import return_freed_memory
from layerfuse.backbone.ids import known_tokens, padding_id
from layerfuse.backbone.kernels import onednn_products
from layerfuse.backbone.mpnet import fused_attention
from layerfuse.backbone.rotary import rotary_steps
from layerfuse.backbone.tap import LayerTap
from layerfuse.backbone.tokens import TokenizedTexts
from layerfuse.core.arrays import LayerArray
from layerfuse.core.errors import DataError, FeatureError, TruncationWarning
from layerfuse.core.layers import LayerRef
from layerfuse.core.spec import BackboneSpec
from layerfuse.core.texts import remedy

WINDOW_TEXTS = 65_536
"""Number of texts sorted by length together; bounds the memory of streamed texts."""

# Frequent enough to bound memory, and rare enough to cost nothing.
_TIDY_BATCHES = 16


def embed_batches(
    model: Any,
    tokenizer: Any,
    blocks: Blocks,
    spec: BackboneSpec,
    texts: Iterable[str],
    *,
    refs: tuple[LayerRef, ...],
    budget: TokenBudget,
    progress: bool,
) -> Iterator[tuple[np.ndarray, LayerArray]]:
    """Embed texts in batches, the longest of each window first.

    Parameters
    ----------
    model : PreTrainedModel
        The frozen model.
    tokenizer : PreTrainedTokenizerFast
        Its tokenizer.
    blocks : Blocks
        Its block list.
    spec : BackboneSpec
        Its identity and settings.
    texts : iterable of str
        Each distinct text of a window of 65,536 is run once.
    refs : tuple of LayerRef
        Rows of the result, in order; the model must have them.
    budget : TokenBudget
        Tokens per batch, padding included; halved when memory does not suffice.
    progress : bool
        Show a progress bar if standard error is a terminal.

    Yields
    ------
    positions : int array of shape (batch,)
        Positions in ``texts``; each position occurs exactly once.
    values : float32 array of shape (row, batch, hidden)
        Their embeddings.

    Raises
    ------
    DataError
        If a text is not a string, or contains a token for which the model has no embedding.
    FeatureError
        If the model returns values that are not finite.
    OutOfMemoryError
        If memory does not suffice even for a single text.

    Warns
    -----
    TruncationWarning
        Once at the end, if texts are longer than the backbone reads.
    """
    tap = LayerTap(blocks, refs, skip_first_token=spec.skip_first_token)
    pad_id = padding_id(tokenizer, model)
    total = len(texts) if isinstance(texts, Sized) else None
    n_texts = n_truncated = 0
    with tqdm(total=total, desc=spec.name, unit="text", disable=None if progress else True) as bar:
        for first, window in _windows(texts):
            by_text = _positions_by_text(window, first)
            tokens = known_tokens(list(by_text), tokenizer, model, spec)
            all_positions = list(by_text.values())
            n_texts += len(window)
            n_truncated += sum(len(all_positions[i]) for i in np.flatnonzero(tokens.truncated))
            for batch, values in _run_all(model, tap, tokens, budget, pad_id):
                _check_finite(values, refs, spec)
                positions = [all_positions[i] for i in batch.tolist()]
                repeats = [len(p) for p in positions]
                repeated = values.repeat(repeats, axis=1) if max(repeats) > 1 else values
                yield np.concatenate(positions), repeated
                bar.update(sum(repeats))
    if n_truncated:
        prompted = bool(spec.prompt)
        warnings.warn(
            TruncationWarning(spec.name, n_truncated, n_texts, spec.max_tokens, prompted),
            stacklevel=4,
        )


def _windows(texts: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the position of the first text of each window, and its texts."""
    rest = iter(texts)
    first = 0
    while window := list(itertools.islice(rest, WINDOW_TEXTS)):
        yield first, window
        first += len(window)


def _positions_by_text(texts: Sequence[object], first: int) -> dict[str, list[int]]:
    """Return each distinct text, in order of appearance, with all its positions.

    Parameters
    ----------
    texts : sequence
        The texts of one window.
    first : int
        Position of the first of them among all texts.

    Raises
    ------
    DataError
        If an entry is not a string, such as a missing value.
    """
    by_text: dict[str, list[int]] = {}
    for position, text in enumerate(texts, first):
        if not isinstance(text, str):
            raise DataError(
                f"Expected only strings, but text {position} is {text!r:.80} "
                f"({type(text).__name__}). {remedy(text)}"
            )
        by_text.setdefault(text, []).append(position)
    return by_text


def _run_all(
    model: Any,
    tap: LayerTap,
    tokens: TokenizedTexts,
    budget: TokenBudget,
    pad_id: int,
) -> Iterator[tuple[np.ndarray, LayerArray]]:
    """Yield batches, longest texts first, with their pooled layers (row, batch, hidden)."""
    rest, steps = tokens.longest_first(), rotary_steps(model)
    n_untidy = 0

    def run(batch: np.ndarray, *, alone: bool) -> LayerArray | None:
        ids, mask = tokens.padded(batch, pad_id)
        return budget.attempt(lambda: _run(model, tap, ids, mask), *ids.shape, alone=alone)

    with Cores(_n_cores(model)) as cores:
        while len(rest):
            n_cores = 1 if budget.was_short else cores.n_cores
            alike = tokens.together(rest, steps)
            batches = tokens.batches(alike, budget.tokens, n_cores)
            products = onednn_products(tap.blocks.container[: tap.deepest])
            deberta, mpnet = attention_by_distance(model), fused_attention(model)
            # The lock is held because other threads may embed with the same model.
            with tap.blocks.turn, tap, products, deberta, mpnet:
                results = cores.map(functools.partial(run, alone=len(batches) == 1), batches)
            rest = rest[sum(map(len, batches)) :]
            n_untidy += len(batches)
            if n_untidy >= _TIDY_BATCHES:
                return_freed_memory()
                n_untidy = 0
            for batch, values in zip(batches, results, strict=True):
                if values is not None:
                    yield batch, values
            failed = [b for b, v in zip(batches, results, strict=True) if v is None]
            rest = np.concatenate([*failed, rest])


def _n_cores(model: Any) -> int:
    """Return how many batches may run in parallel."""
    # RecurrentGemma stores the states of the current batch in its modules.
    alone = model.device.type != "cpu" or model.config.model_type == "recurrent_gemma"
    return 1 if alone else n_torch_threads()


@torch.inference_mode()
def _run(model: Any, tap: LayerTap, ids: torch.Tensor, mask: torch.Tensor) -> LayerArray:
    return tap.run(model, ids.to(model.device), mask.to(model.device))


def _check_finite(values: LayerArray, refs: tuple[LayerRef, ...], spec: BackboneSpec) -> None:
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values).all(axis=(1, 2))))
        raise FeatureError(
            f"{refs[row]} has values that are not finite (dtype {spec.dtype}). "
            "Try dtype='float32', and check the weights."
        )
