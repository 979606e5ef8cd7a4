"""``flops_per_text``: the number of operations of a backbone per text, counted, not timed."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from layerfuse.backbone.backbone import Backbone
from layerfuse.backbone.deberta import attention_by_distance
from layerfuse.backbone.ids import known_tokens
from layerfuse.backbone.tap import LayerTap
from layerfuse.core.errors import DataError
from layerfuse.core.layers import LayerRef

_LENGTHS = 9  # lengths counted; two suffice except for DeBERTa, which also has distances


def flops_per_text(backbone: Backbone, texts: Sequence[str]) -> float:
    """Count the operations of the matrix products up to the deepest layer.

    Operations depend only on the number of tokens. A weight matrix is used once per token,
    attention once per pair of tokens, so operations *per token* are linear in the length. Texts of
    at most nine lengths are run, one at a time, and the others are interpolated; this needs no
    table of families. It is exact if only these lengths occur, and for all families but DeBERTa.

    Parameters
    ----------
    backbone : Backbone
        Cut or uncut.
    texts : sequence of str
        At least one; truncated as in ``embed``.

    Returns
    -------
    float
        Mean over the texts, each run alone and so without padding. A multiplication and the
        following addition count as two. Masked attention counts in full, because it is computed in
        full.

    Raises
    ------
    DataError
        If there is no text.
    """
    if not texts:
        raise DataError("Expected at least one text to count operations of, got none.")
    backbone.check_unchanged()
    tokens = known_tokens(texts, backbone.tokenizer, backbone.model, backbone.spec)
    lengths, examples = np.unique(tokens.lengths, return_index=True)
    some = np.unique(np.linspace(0, len(lengths) - 1, _LENGTHS).round().astype(int))
    per_token = [  # no padding, as each text is alone
        _count(backbone, *tokens.padded(examples[[i]], pad_id=0)) / lengths[i]
        for i in some.tolist()
    ]
    every = np.interp(tokens.lengths, lengths[some], per_token) * tokens.lengths
    return float(every.mean())


def _count(backbone: Backbone, ids: Tensor, mask: Tensor) -> int:
    """Return the operations for one (1, token) text."""
    model, blocks = backbone.model, backbone.blocks
    # This pooling has no products.
    tap = LayerTap(blocks, (LayerRef(backbone.name, backbone.deepest, "first"),))
    # The counter may not support fused attention; the plain form consists of products.
    with (
        torch.no_grad(),
        sdpa_kernel(SDPBackend.MATH),
        blocks.turn,
        tap,
        attention_by_distance(model),
        FlopCounterMode(display=False) as counter,
    ):
        tap.run(model, ids.to(model.device), mask.to(model.device))
    return int(counter.get_total_flops())
