"""Texts to pooled layers, batch by batch: tokenise, sort by length, run, put back in place."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from layerfuse.backbone.blocks import Blocks
from layerfuse.backbone.distinct import distinct_texts
from layerfuse.backbone.tap import LayerTap
from layerfuse.backbone.tokens import TokenizedTexts, stand_in_id, tokenize
from layerfuse.core.arrays import LayerArray
from layerfuse.core.errors import FeatureError
from layerfuse.core.layers import LayerRef
from layerfuse.core.spec import BackboneSpec


def embed_batches(
    model: Any,
    tokenizer: Any,
    blocks: Blocks,
    spec: BackboneSpec,
    texts: Sequence[str],
    *,
    refs: tuple[LayerRef, ...],
    token_budget: int,
    progress: bool,
) -> Iterator[tuple[np.ndarray, LayerArray]]:
    """Embed texts batch by batch, longest first.

    Parameters
    ----------
    model : PreTrainedModel
        Frozen.
    tokenizer : PreTrainedTokenizerFast
        Its tokenizer.
    blocks : Blocks
        Its block list.
    spec : BackboneSpec
        Of the backbone.
    texts : sequence of str
        Each distinct text is run once.
    refs : tuple of LayerRef
        Rows wanted; the model must have them.
    token_budget : int
        Tokens of one batch, padding included.
    progress : bool
        Show a progress bar if standard error is a terminal.

    Yields
    ------
    positions : int array of shape (batch,)
        Positions in ``texts``; every position comes exactly once.
    values : float32 array of shape (row, batch, hidden)
        Their embeddings.

    Raises
    ------
    DataError
        If a text is no string.
    FeatureError
        If the model gives values that are no numbers.
    """
    distinct = distinct_texts(texts)
    tokens = tokenize(tokenizer, distinct.texts, spec.max_tokens, spec.prompt)
    if tokens.n_truncated:
        warnings.warn(
            f"{spec.name}: {tokens.n_truncated} of {len(tokens.lengths)} distinct texts are "
            f"longer than max_tokens={spec.max_tokens} and were truncated.",
            stacklevel=4,
        )
    pad_id = tokenizer.pad_token_id
    pad_id = stand_in_id(tokenizer) if pad_id is None else pad_id
    tap = LayerTap(blocks, refs, skip_first_token=spec.skip_first_token)
    with tqdm(
        total=len(texts), desc=spec.name, unit="text", disable=None if progress else True
    ) as bar:
        for batch in tokens.batches(token_budget):
            values = _run(model, tap, tokens, batch, pad_id)
            if not np.isfinite(values).all():
                row = int(np.argmin(np.isfinite(values).all(axis=(1, 2))))
                raise FeatureError(
                    f"{tap.refs[row]} holds values that are no finite numbers (dtype "
                    f"{spec.dtype}). Try dtype='float32', and check the weights."
                )
            positions, repeats = distinct.spread(batch)
            yield positions, values.repeat(repeats, axis=1) if repeats.max() > 1 else values
            bar.update(len(positions))


@torch.inference_mode()
def _run(
    model: Any, tap: LayerTap, tokens: TokenizedTexts, batch: np.ndarray, pad_id: int
) -> LayerArray:
    ids, mask = tokens.padded(batch, pad_id)
    with tap.blocks.turn, tap:  # other threads may embed with the same model
        return tap.run(model, ids.to(model.device), mask.to(model.device))
