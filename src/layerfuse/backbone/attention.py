"""Entropy of attention, computed in hooks, so that no two layers' weights are in memory."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from layerfuse.backbone.blocks import Blocks
from layerfuse.core.errors import LayerError

_EAGER = "eager"
_ROUNDING = 1e-2  # rounding error of the sum of a row of weights in bfloat16


def attention_entropies(attention: Tensor, mask: Tensor) -> Tensor:
    """Return the relative entropy of the attention of each text.

    It is H(a) / log(n) for the weights a of a query and the number n of keys that it may attend to,
    averaged over heads and over the queries that are tokens and have at least two keys.

    The keys of a query are the tokens within the span of distances over which any head attends to
    anything anywhere in the batch: all, those before it, or a window, depending on family and
    layer. Weights inside the span that round to zero count as keys.

    Parameters
    ----------
    attention : Tensor of shape (batch, head, query, key)
        Rows sum to 1.
    mask : Tensor of shape (batch, token)
        1 where there is a token, 0 where there is padding.

    Returns
    -------
    float32 Tensor of shape (batch,)
        Values in 0 .. 1; 0 for a text without such a query.
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
    # Not a product, because the entropy of padding that attends to nothing is NaN.
    return torch.where(counts, relative, 0).sum(-1) / counts.sum(-1).clamp(min=1)


class AttentionHooks:
    """Hooks on all modules inside the blocks that reduce attention weights and discard them.

    Parameters
    ----------
    blocks : Blocks
        Blocks to hook.
    """

    def __init__(self, blocks: Blocks) -> None:
        self._modules = tuple(blocks.container.modules())
        self._entropies: list[Tensor] = []
        self._mask = torch.empty(0)

    @contextmanager
    def attached(self, mask: Tensor) -> Iterator[None]:
        """Attach the hooks while a batch with this (batch, token) mask runs."""
        self._mask, self._entropies = mask, []
        with ExitStack() as stack:
            for module in self._modules:
                stack.enter_context(module.register_forward_hook(self._after_module))
            yield

    def end_layer(self, layer: int, name: str) -> Tensor:
        """Return the relative entropies (batch,) of the layer that has just run.

        Raises
        ------
        LayerError
            If it returned no attention weights.
        """
        entropies, self._entropies = self._entropies, []
        if not entropies:
            raise LayerError(
                f"{name} returns no attention weights at layer {layer}, so their entropy cannot be "
                "measured. Use a criterion that needs none, or a backbone with softmax attention "
                "that transformers can run with attn_implementation='eager'."
            )
        return torch.stack(entropies).mean(0)

    def _after_module(self, _module: nn.Module, _args: object, output: Any) -> object:
        if not isinstance(output, tuple):
            return None
        is_attention = [self._is_attention(part) for part in output]
        if not any(is_attention):
            return None
        self._entropies += [
            attention_entropies(part.detach(), self._mask)
            for part, is_weights in zip(output, is_attention, strict=True)
            if is_weights
        ]
        # Removed from the output, so that it is not kept, nor counted again by outer modules.
        return tuple(
            None if is_weights else part
            for part, is_weights in zip(output, is_attention, strict=True)
        )

    def _is_attention(self, part: object) -> bool:
        """Return whether a tensor is attention, not a position bias, key or value.

        The rows of attention are distributions.
        """
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
    """Let a model use eager attention, because fused attention does not return weights.

    Enter it for one batch, while holding ``Blocks.turn``.

    Parameters
    ----------
    model : PreTrainedModel
        Restored afterwards.

    Yields
    ------
    None
        While it is active.
    """
    config = model.config
    parts = {name: getattr(config, name, None) for name in getattr(config, "sub_configs", ())}
    before = {
        "": config._attn_implementation,  # noqa: SLF001 - the setter has no public getter
        **{name: p._attn_implementation for name, p in parts.items() if p is not None},  # noqa: SLF001
    }
    if set(before.values()) == {_EAGER}:  # older families have only this, and refuse to set it
        yield
        return
    try:
        model.set_attn_implementation(_EAGER)
        yield
    finally:
        model.set_attn_implementation(before)


def needs_output_attentions(model: nn.Module) -> bool:
    """Return whether a model returns attention only with ``output_attentions``.

    transformers records the attention of most families by its own hooks. Their modules always
    return it, and ``output_attentions`` would keep that of all layers, by hooks that stay on the
    model.
    """
    return not any(getattr(m, "_can_record_outputs", None) for m in model.modules())
