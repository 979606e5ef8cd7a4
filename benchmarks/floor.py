"""The floor: the time of the matrix products of a text at the best rate of this machine."""

import time

import torch
from torch import nn

from layerfuse import Backbone
from layerfuse.backbone.kernels import onednn_linear, onednn_works

_TOKENS = 1024
_REPEATS = 8


def floor_seconds(backbone: Backbone, n_tokens: int) -> float:
    """Return the least time for a number of tokens: 2 FLOPs per weight and token, at the best rate.

    Each distinct shape of matrix is timed on 1,024 tokens by torch's own product and, in float32,
    by oneDNN's on packed weights; the faster counts.
    """
    modules = [
        m for b in backbone.blocks.container for m in b.modules() if isinstance(m, nn.Linear)
    ]
    by_shape: dict[tuple[int, int], list[nn.Linear]] = {}
    for module in modules:
        by_shape.setdefault(tuple(module.weight.shape), []).append(module)
    a_token = sum(
        len(members) * best_seconds(members[0].weight) / _TOKENS for members in by_shape.values()
    )
    shared = backbone.blocks.n_layers / len(backbone.blocks.container)
    return a_token * shared * n_tokens


@torch.inference_mode()
def best_seconds(weight: torch.Tensor) -> float:
    """Return the best time of one product of 1,024 tokens with this matrix."""
    x = torch.randn(_TOKENS, weight.shape[1], dtype=weight.dtype)
    ways = [lambda: nn.functional.linear(x, weight)]
    if weight.dtype == torch.float32 and onednn_works():
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, _TOKENS)  # noqa: SLF001
        ways.append(lambda: onednn_linear(x, packed, None))
    best = float("inf")
    for way in ways:
        way()
        for _ in range(_REPEATS):
            started = time.perf_counter()
            way()
            best = min(best, time.perf_counter() - started)
    return best
