"""DeBERTa's relative positions, for as many as a batch can have.

transformers projects and multiplies all 512 relative positions of a DeBERTa v3 in every block, also
for texts of 30 tokens, of which no two are more than 29 apart. What is left out here would not be
looked at, so that nothing changes but rounding.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


@contextmanager
def narrow_positions(model: Any, n_tokens: int) -> Iterator[None]:
    """Let a DeBERTa look at the relative positions alone that texts of some length have.

    Enter it for one batch, in the turn of the blocks.

    Parameters
    ----------
    model : PreTrainedModel
        Of any family; all but DeBERTa v2 and v3 stay as they are.
    n_tokens : int
        Tokens of the longest text of the batch.

    Yields
    ------
    None
        While it lasts.
    """
    encoder: Any = getattr(model, "encoder", None)
    if model.config.model_type != "deberta-v2" or not encoder.relative_attention:
        yield
        return
    attentions = [m for m in encoder.modules() if hasattr(m, "pos_ebd_size")]
    whole = attentions[0].pos_ebd_size
    span = _span(n_tokens, encoder.position_buckets, encoder.max_relative_positions)
    if span >= whole:
        yield
        return
    every = encoder.get_rel_embedding

    def near() -> Tensor:
        embeddings: Tensor = every()[whole - span : whole + span]
        return embeddings

    try:
        encoder.get_rel_embedding = near
        for attention in attentions:
            attention.pos_ebd_size = span
        yield
    finally:
        vars(encoder).pop("get_rel_embedding", None)  # the method of the class stands behind it
        for attention in attentions:
            attention.pos_ebd_size = whole


def _span(n_tokens: int, n_buckets: int, max_distance: int) -> int:
    """Return one more than the largest relative position, as DeBERTa counts it, of a text."""
    if n_buckets <= 0:
        return n_tokens
    # Here, since all other families do without this module.
    from transformers.models.deberta_v2.modeling_deberta_v2 import (  # noqa: PLC0415
        make_log_bucket_position,
    )

    farthest = torch.tensor([max(1, n_tokens - 1)])
    return int(make_log_bucket_position(farthest, n_buckets, max_distance).abs().max()) + 1
