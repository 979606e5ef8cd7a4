"""Entropy of attention, reduced the moment each attention exists: no two layers' are ever held."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from layerfuse.backbone.blocks import Blocks
from layerfuse.core.errors import LayerError

_EAGER = "eager"
_ROUNDING = 1e-2  # of the sum of a row of weights in bfloat16


def attention_entropies(attention: Tensor, mask: Tensor) -> Tensor:
    """Return the relative entropy of the attention of each text.

    H(a) / log(n) for the weights a of a query and the number n of keys it may look at, averaged
    over heads and over the queries that are tokens and see two keys or more: a query that sees one
    key has no choice.

    A query may look at the tokens within the span of distances over which any head attends to
    anything anywhere in the batch: all, those before it, or a window, whatever family and layer.
    Weights that round to zero inside the span count as seen.

    Parameters
    ----------
    attention : Tensor of shape (batch, head, query, key)
        Rows sum to 1.
    mask : Tensor of shape (batch, token)
        1 where there is a token, 0 where there is padding.

    Returns
    -------
    float32 Tensor of shape (batch,)
        In 0 .. 1; 0 for a text without such a query.
    """
    tokens = mask.bool()
    looked_at = (attention > 0).any(1) & tokens[:, :, None] & tokens[:, None, :]
    positions = torch.arange(mask.shape[1], device=mask.device)
    distances = positions[None, :] - positions[:, None]
    seen = distances[looked_at.any(0)]
    in_span = (distances >= seen.min()) & (distances <= seen.max())
    n_visible = (in_span & tokens[:, None, :]).sum(-1)  # (batch, query)
    counts = tokens & (n_visible > 1)
    entropies = torch.special.entr(attention.float()).sum(-1).mean(1)
    relative = entropies / n_visible.clamp(min=2).log()
    # Not by a product: padding may attend to nothing, which is no number.
    return torch.where(counts, relative, 0).sum(-1) / counts.sum(-1).clamp(min=1)


class AttentionEar:
    """Hooks on everything inside the blocks that hear each attention and let go of it.

    Parameters
    ----------
    blocks : Blocks
        Where to listen.
    """

    def __init__(self, blocks: Blocks) -> None:
        self._modules = tuple(blocks.container.modules())
        self._heard: list[Tensor] = []
        self._mask = torch.empty(0)

    @contextmanager
    def hearing(self, mask: Tensor) -> Iterator[None]:
        """Listen while a batch with this (batch, token) mask runs."""
        self._mask, self._heard = mask, []
        with ExitStack() as stack:
            for module in self._modules:
                stack.enter_context(module.register_forward_hook(self._after_module))
            yield

    def end_layer(self, layer: int, name: str) -> Tensor:
        """Return the relative entropies (batch,) of the layer that has just run.

        Raises
        ------
        LayerError
            If it gave no attention weights.
        """
        heard, self._heard = self._heard, []
        if not heard:
            raise LayerError(
                f"{name} gives no attention weights at layer {layer}, so that their entropy cannot "
                "be measured. Use a criterion that needs none, or a backbone with softmax "
                "attention that transformers can run with attn_implementation='eager'."
            )
        return torch.stack(heard).mean(0)

    def _after_module(self, _module: nn.Module, _args: object, output: Any) -> object:
        if not isinstance(output, tuple):
            return None
        is_attention = [self._is_attention(part) for part in output]
        if not any(is_attention):
            return None
        self._heard += [
            attention_entropies(part.detach(), self._mask)
            for part, found in zip(output, is_attention, strict=True)
            if found
        ]
        # Let go here, so that it is neither kept nor heard again from the modules around this one.
        return tuple(
            None if found else part for part, found in zip(output, is_attention, strict=True)
        )

    def _is_attention(self, part: object) -> bool:
        """Tell attention from position biases, keys and values: its rows are distributions."""
        n_texts, n_tokens = self._mask.shape
        if not isinstance(part, Tensor) or part.ndim != 4:  # noqa: PLR2004
            return False
        if part.shape[0] != n_texts or part.shape[2:] != (n_tokens, n_tokens):
            return False
        weights = part.detach()
        sums = weights.sum(-1, dtype=torch.float32).transpose(1, 2)[self._mask.bool()]
        return not bool((weights < 0).any()) and bool(((sums - 1).abs() < _ROUNDING).all())


@contextmanager
def eager_attention(model: Any) -> Iterator[None]:
    """Let a model compute attention step by step, since faster ways never have the weights.

    Enter it for one batch, in the turn of the blocks.

    Parameters
    ----------
    model : PreTrainedModel
        As it was, afterwards.

    Yields
    ------
    None
        While it lasts.
    """
    config = model.config
    parts = {name: getattr(config, name, None) for name in getattr(config, "sub_configs", ())}
    before = {
        "": config._attn_implementation,  # noqa: SLF001 - the setter has no public getter
        **{name: p._attn_implementation for name, p in parts.items() if p is not None},  # noqa: SLF001
    }
    if set(before.values()) == {_EAGER}:  # older families have no other, and refuse to be asked
        yield
        return
    try:
        model.set_attn_implementation(_EAGER)
        yield
    finally:
        model.set_attn_implementation(before)


def must_be_asked(model: nn.Module) -> bool:
    """Tell whether a model gives attention only if asked to.

    transformers records the attention of most families by hooks of its own: their modules always
    give it, and asking would keep that of all layers, by hooks that stay on the model.
    """
    return not any(getattr(m, "_can_record_outputs", None) for m in model.modules())
