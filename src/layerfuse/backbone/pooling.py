"""Pooling: reduces the token states of a batch to one vector per text.

Every pooling finds its positions in the attention mask, so padding on either side works. Sums are
in float32, whatever the dtype of the states.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from layerfuse.core.layers import Pooling

PoolingFunction = Callable[[Tensor, Tensor], Tensor]
"""Maps (batch, token, hidden) states and a (batch, token) 0/1 mask to (batch, hidden), float32."""


def mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Average the visible tokens."""
    weights = mask.float()
    return _weighted_sum(hidden, weights / weights.sum(1, keepdim=True).clamp(min=1))


def weighted_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Average the visible tokens with weights 1, 2, 3 ..., as later tokens have seen more.

    Source: Muennighoff 2022, SGPT, arXiv:2202.08904, section 3.1.
    """
    weights = mask.float().cumsum(1) * mask
    return _weighted_sum(hidden, weights / weights.sum(1, keepdim=True).clamp(min=1))


def first(hidden: Tensor, mask: Tensor) -> Tensor:
    """Take the first visible token, which is [CLS] or <s> in most encoders."""
    return _take(hidden, mask.int().argmax(1))


def last(hidden: Tensor, mask: Tensor) -> Tensor:
    """Take the last visible token; in a decoder, only this one has seen the whole text."""
    positions = torch.arange(mask.shape[1], device=mask.device)
    return _take(hidden, (mask.int() * positions).argmax(1))


def maximum(hidden: Tensor, mask: Tensor) -> Tensor:
    """Take the maximum of every dimension over the visible tokens."""
    return hidden.masked_fill(mask.unsqueeze(-1) == 0, float("-inf")).amax(1).float()


POOLING_FUNCTIONS: Mapping[Pooling, PoolingFunction] = {
    "mean": mean,
    "first": first,
    "last": last,
    "max": maximum,
    "weighted_mean": weighted_mean,
}

SPREAD_POOLINGS = frozenset({"mean", "max", "weighted_mean"})
"""Poolings over all tokens, which may leave the first token out."""


def without_first(mask: Tensor) -> Tensor:
    """Return the mask with the first visible token of each text hidden, unless it is the only one.

    In decoders the first token is an attention sink, with 10 to 1000 times the norm of the others.
    """
    later = mask * (mask.int().cumsum(1) > 1)
    return torch.where(later.sum(1, keepdim=True) > 0, later, mask)


def pool(hidden: Tensor, mask: Tensor, pooling: Pooling, *, skip_first_token: bool) -> Tensor:
    """Return pooled states (batch, hidden) in float32, with or without the first token."""
    spread = skip_first_token and pooling in SPREAD_POOLINGS
    return POOLING_FUNCTIONS[pooling](hidden, without_first(mask) if spread else mask)


def _weighted_sum(hidden: Tensor, weights: Tensor) -> Tensor:
    """Sum (batch, token, hidden) states with (batch, token) weights to (batch, hidden)."""
    return torch.bmm(weights.unsqueeze(1), hidden.float()).squeeze(1)


def _take(hidden: Tensor, positions: Tensor) -> Tensor:
    return hidden[torch.arange(len(hidden), device=hidden.device), positions].float()
