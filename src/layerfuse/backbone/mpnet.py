"""MPNet's attention in one fused operation, which transformers computes step by step.

transformers writes an MPNet's attention out, since fused ones used to take no bias of positions:
each block makes four arrays of (text, head, token, token) one after the other, 12 MB each for a
text of 512 tokens. PyTorch's fused attention makes none of them. It takes the bias as its mask,
which is one such array for all blocks.
"""

import functools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


@contextmanager
def fused_attention(model: Any) -> Iterator[None]:
    """Let an MPNet compute attention by PyTorch's fused operation; nothing changes but rounding.

    Enter it for one batch, in the turn of the blocks. No attention weights exist while it lasts.

    Parameters
    ----------
    model : PreTrainedModel
        Of any family; all but an MPNet whose attention is written out stay as they are.

    Yields
    ------
    None
        While it lasts.
    """
    written_out = model.config._attn_implementation == "eager"  # noqa: SLF001 - no public getter
    if model.config.model_type != "mpnet" or not written_out:
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
        # Instance attributes: the methods of the classes stand behind them.
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
