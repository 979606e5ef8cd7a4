"""MPNet's attention as one fused operation.

transformers computes MPNet's attention in steps, because fused attention used to accept no position
bias. Each block creates four arrays of (text, head, token, token) in turn, 12 MB each for a text of
512 tokens. PyTorch's fused attention creates none of them. It takes the bias as its mask, one such
array for all blocks.
"""

import functools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


@contextmanager
def fused_attention(model: Any) -> Iterator[None]:
    """Let an MPNet use PyTorch's fused attention; outputs change only by rounding.

    Enter it for one batch, while holding ``Blocks.turn``. Attention weights are not available.

    Parameters
    ----------
    model : PreTrainedModel
        Model of any family; all but an MPNet with eager attention are left unchanged.

    Yields
    ------
    None
        While it is active.
    """
    is_eager = model.config._attn_implementation == "eager"  # noqa: SLF001 - no public getter
    if model.config.model_type != "mpnet" or not is_eager:
        yield
        return
    encoder = model.encoder
    attentions = [block.attention.attn for block in encoder.layer]
    bias_of = encoder.compute_position_bias

    def with_bias(_encoder: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """Add the bias to the mask, once for all blocks: (1 or text, head, token, token)."""
        bias = bias_of(args[0][:1])  # the same for all texts
        mask = kwargs["attention_mask"]
        return args, {**kwargs, "attention_mask": bias if mask is None else bias + mask}

    with ExitStack() as stack:
        # Instance attributes; removing them restores the methods of the classes.
        stack.callback(vars(encoder).pop, "compute_position_bias", None)
        encoder.compute_position_bias = lambda _hidden: None
        stack.enter_context(encoder.register_forward_pre_hook(with_bias, with_kwargs=True))
        for attention in attentions:
            stack.callback(vars(attention).pop, "forward", None)
            attention.forward = functools.partial(_forward, attention)
        yield


def _forward(
    module: Any, hidden: Tensor, mask: Tensor, _no_bias: None, **_rest: object
) -> tuple[Tensor]:
    """Run an MPNetSelfAttention; the mask is added to the scores of each head."""
    by_head = (*hidden.shape[:-1], -1, module.attention_head_size)
    query, key, value = (
        project(hidden).view(by_head).transpose(1, 2) for project in (module.q, module.k, module.v)
    )
    context = scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return (module.o(context.transpose(1, 2).flatten(2)),)
