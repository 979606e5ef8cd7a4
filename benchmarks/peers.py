"""Other libraries with the same weights: each peer is a function from texts to arrays or tensors.

All get the same texts, token limit and number of threads, and tokenise the texts themselves.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from layerfuse import Backbone

Embed = Callable[[list[str]], Any]
NAIVE_BATCH = 32


def all_layers(backbone: Backbone) -> Embed:
    """Layerfuse: every layer, mean-pooled."""
    return lambda texts: backbone.embed(texts, progress=False)


def naive(backbone: Backbone) -> Embed:
    """As in tutorials: padded batches of 32 in the given order, every layer mean-pooled."""
    model, tokenizer = backbone.model, backbone.tokenizer
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token

    @torch.inference_mode()
    def embed(texts: list[str]) -> np.ndarray:
        parts = []
        for start in range(0, len(texts), NAIVE_BATCH):
            batch = tokenizer(
                texts[start : start + NAIVE_BATCH],
                padding=True,
                truncation=True,
                max_length=backbone.spec.max_tokens,
                return_tensors="pt",
                return_token_type_ids=False,
            )
            states = model(**batch, output_hidden_states=True).hidden_states
            mask = batch["attention_mask"].unsqueeze(-1)
            parts.append(torch.stack([(s * mask).sum(1) / mask.sum(1) for s in states]).float())
        return torch.cat(parts, dim=1).numpy()

    return embed


def sentence_transformers(folder: Path, max_tokens: int, dtype: torch.dtype) -> Embed:
    """sentence-transformers' encode: the last layer alone, mean-pooled, its own batches."""
    from sentence_transformers import SentenceTransformer, models

    transformer = models.Transformer(
        str(folder), max_seq_length=max_tokens, model_args={"dtype": dtype}
    )
    if transformer.tokenizer.pad_token is None:
        transformer.tokenizer.pad_token = transformer.tokenizer.eos_token
    pooling = models.Pooling(transformer.get_word_embedding_dimension(), pooling_mode="mean")
    model = SentenceTransformer(modules=[transformer, pooling], device="cpu")
    return lambda texts: model.encode(texts, show_progress_bar=False, convert_to_tensor=True)


def transformer_ranker(backbone: Backbone) -> Embed:
    """transformer-ranker's Embedder: every block, tokens averaged by word and words by text."""
    from transformer_ranker.embedder import Embedder

    # Its call of the tokenizer takes the token limit from here.
    backbone.tokenizer.model_max_length = backbone.spec.max_tokens
    embedder = Embedder(
        backbone.model, tokenizer=backbone.tokenizer, sentence_pooling="mean", device="cpu"
    )
    return lambda texts: embedder.embed(texts, show_progress=False)
