"""Run a few tokens through a fresh model to learn its width and its kind of attention."""

from collections.abc import Sequence
from typing import Any

import torch

from layerfuse.backbone.blocks import Blocks
from layerfuse.backbone.tap import LayerTap
from layerfuse.core.layers import LayerRef, Pooling


@torch.inference_mode()
def probe_states(model: Any, tokenizer: Any, blocks: Blocks, name: str) -> torch.Tensor:
    """Run two inputs that differ in the last token through all blocks.

    Parameters
    ----------
    model : PreTrainedModel
        The model.
    tokenizer : PreTrainedTokenizerFast
        Its tokenizer.
    blocks : Blocks
        Its block list.
    name : str
        For messages.

    Returns
    -------
    Tensor of shape (2, hidden)
        The first token's state after the deepest block.
    """
    usable = [i for i in range(16) if i != tokenizer.pad_token_id]
    ids = torch.tensor([[*usable[:4], usable[4]], [*usable[:4], usable[5]]], device=model.device)
    refs = tuple(LayerRef(name, layer, "first") for layer in range(blocks.n_layers + 1))
    tap = LayerTap(blocks, refs)
    with tap:
        return torch.from_numpy(tap.run(model, ids, torch.ones_like(ids)))[-1]


def is_causal(states: torch.Tensor) -> bool:
    """Tell whether attention is causal.

    Parameters
    ----------
    states : Tensor of shape (2, hidden)
        From ``probe_states``.

    Returns
    -------
    bool
        True if the first token's state did not notice the change of the last token.
    """
    change = (states[0] - states[1]).abs().max()
    return bool(change <= 1e-5 * states.abs().max())


def choose_poolings(
    asked: Pooling | Sequence[Pooling] | None, tokenizer: Any, *, causal: bool
) -> tuple[Pooling, ...]:
    """Return the poolings asked for, as a tuple.

    Parameters
    ----------
    asked : Pooling or sequence of Pooling, optional
        Default: ``mean`` and the token that is trained, or bound, to stand for the whole text:
        ``last`` for decoders, where it alone saw all others; ``first`` for encoders whose tokenizer
        puts a token of its own before every text.
    tokenizer : PreTrainedTokenizerFast
        Its tokenizer.
    causal : bool
        Whether it is a decoder.

    Returns
    -------
    tuple of Pooling
        Not checked yet.
    """
    if asked is not None:
        return (asked,) if isinstance(asked, str) else tuple(asked)
    if causal:
        return ("mean", "last")
    return ("mean", "first") if _starts_with_own_token(tokenizer) else ("mean",)


def _starts_with_own_token(tokenizer: Any) -> bool:
    """Tell whether the first token of every text is one that no text has, such as BERT's [CLS]."""
    first = tokenizer("a")["input_ids"][0]
    return first in tokenizer.all_special_ids and first != tokenizer.unk_token_id
