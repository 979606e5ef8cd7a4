"""DeBERTa's attention by distance, without a gather over all pairs of tokens.

The score of two tokens has three terms: content to content, content to position, and position to
content. transformers multiplies all tokens by all 512 relative positions of a DeBERTa v3, even in
texts of 30 tokens, of which no two are more than 29 apart. It then gathers one product per pair, by
an index as large as the scores, and adds and masks them in separate steps. Here only the distances
that occur in a text are used. From one query to the next, all distances shift by one, so a strided
view of the products replaces the gather. Their sum is passed to PyTorch's fused attention as its
mask.
"""

import functools
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


@contextmanager
def attention_by_distance(model: Any, *, give_weights: bool = False) -> Iterator[None]:
    """Let a DeBERTa compute attention by distance; outputs change only by rounding.

    Enter it for one batch, while holding ``Blocks.turn``.

    Parameters
    ----------
    model : PreTrainedModel
        Model of any family; all but DeBERTa v2 and v3 with relative positions are left unchanged.
    give_weights : bool
        Let attention modules return their weights (batch, head, query, key), which fused attention
        cannot.

    Yields
    ------
    None
        While it is active.
    """
    encoder: Any = getattr(model, "encoder", None)
    if model.config.model_type != "deberta-v2" or not encoder.relative_attention:
        yield
        return
    attentions = [m for m in encoder.modules() if hasattr(m, "pos_att_type")]
    reach = attentions[0].pos_ebd_size
    buckets = encoder.position_buckets, encoder.max_relative_positions

    def get_rel_pos(hidden: Tensor, *_others: object) -> _Distances:
        return _distances(hidden.shape[1], reach, *buckets, hidden.device)

    with ExitStack() as stack:
        # Instance attributes; removing them restores the methods of the classes.
        stack.callback(vars(encoder).pop, "get_rel_pos", None)
        encoder.get_rel_pos = get_rel_pos
        for attention in attentions:
            stack.callback(vars(attention).pop, "forward", None)
            attention.forward = functools.partial(_forward, attention, give_weights)
        yield


@dataclass(frozen=True, slots=True, eq=False)
class _Distances:
    """Rows of the table of relative positions that a text of some length needs.

    Parameters
    ----------
    near : slice
        All rows it needs; distances grow with the row.
    rows : int Tensor of shape (2 * token - 1,)
        Row, within ``near``, of each distance from query to key, in ascending order of distance.
    """

    near: slice
    rows: Tensor


def _distances(
    n_tokens: int, reach: int, n_buckets: int, max_distance: int, device: torch.device
) -> _Distances:
    """Return the distances between the tokens of a text; large ones share buckets."""
    apart = torch.arange(1 - n_tokens, n_tokens)
    if n_buckets > 0:
        # Imported here, because only this family needs the module.
        from transformers.models.deberta_v2.modeling_deberta_v2 import (  # noqa: PLC0415
            make_log_bucket_position,
        )

        apart = make_log_bucket_position(apart, n_buckets, max_distance).long()
    rows = (apart + reach).clamp(0, 2 * reach - 1)
    first, last = int(rows[0]), int(rows[-1])
    return _Distances(slice(first, last + 1), (rows - first).to(device))


def _forward(
    module: Any,
    give_weights: bool,  # noqa: FBT001
    hidden: Tensor,
    mask: Tensor,
    output_attentions: bool,  # noqa: FBT001, ARG001
    *,
    query_states: Tensor | None,
    relative_pos: _Distances,
    rel_embeddings: Tensor,
) -> tuple[Tensor, Tensor | None]:
    """Run a DisentangledSelfAttention (He et al. 2021, DeBERTa, eq. 4)."""
    n_heads = module.num_attention_heads
    query = _by_head(module.query_proj(hidden if query_states is None else query_states), n_heads)
    key, value = (_by_head(p(hidden), n_heads) for p in (module.key_proj, module.value_proj))
    terms, shared = module.pos_att_type, module.share_att_key
    n_terms = 1 + ("c2p" in terms) + ("p2c" in terms)
    scale = 1 / math.sqrt(query.shape[-1] * n_terms)
    near, rows = rel_embeddings[relative_pos.near], relative_pos.rows
    bias = query.new_zeros(())
    if "c2p" in terms:  # from one key to the next, the distance falls by one
        project = module.key_proj if shared else module.pos_key_proj
        bias = bias + _of_pairs(query * scale, project(near)[rows.flip(0)])
    if "p2c" in terms:
        project = module.query_proj if shared else module.pos_query_proj
        bias = bias + _of_pairs(key * scale, project(near)[rows]).transpose(-1, -2)
    seen, unseen = mask.bool(), torch.finfo(query.dtype).min
    if give_weights:
        scores = query * scale @ key.transpose(-1, -2) + bias
        weights = torch.where(seen, scores, unseen).softmax(-1)
        return (weights @ value).transpose(1, 2).flatten(2), weights
    bias = torch.where(seen, bias, unseen)
    context = scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=scale)
    return context.transpose(1, 2).flatten(2), None


def _by_head(states: Tensor, n_heads: int) -> Tensor:
    """View (text, token, hidden) as (text, head, token, size)."""
    return states.view(*states.shape[:2], n_heads, -1).transpose(1, 2)


def _of_pairs(states: Tensor, distances: Tensor) -> Tensor:
    """Multiply states by all distances, and return the product of each pair of tokens.

    Parameters
    ----------
    states : Tensor of shape (text, head, token, size)
        States of queries or keys.
    distances : Tensor of shape (2 * token - 1, hidden)
        Embedded distances, ordered by ``j`` of a pair; distance 0 is in the middle.

    Returns
    -------
    Tensor of shape (text, head, token, token)
        ``[.., i, j]`` is the product of the state of ``i`` with the distance ``j - i`` places after
        the middle. It is a view of all products.
    """
    n_texts, n_heads, n_tokens, size = states.shape
    products = torch.bmm(  # heads first, so that one product serves all texts of a batch
        states.transpose(0, 1).reshape(n_heads, n_texts * n_tokens, size),
        distances.view(-1, n_heads, size).permute(1, 2, 0),
    ).view(n_heads, n_texts, n_tokens, len(distances))
    head, text, token, distance = products.stride()
    return products.as_strided(
        (n_heads, n_texts, n_tokens, n_tokens),
        (head, text, token - distance, distance),
        (n_tokens - 1) * distance,
    ).transpose(0, 1)
