"""Run a few tokens through a fresh model: whether it runs, its width, what its attention sees."""

from collections.abc import Sequence
from typing import Any

import torch

from layerfuse.backbone.blocks import Blocks
from layerfuse.backbone.ids import padding_id
from layerfuse.backbone.tap import LayerTap
from layerfuse.core.errors import BackboneLoadError, LayerError
from layerfuse.core.layers import LayerRef, Pooling

_MOST_CHANGE = {torch.float32: 1e-3, torch.bfloat16: 0.05}
"""Of a layer, relative to its norm, when padding stands behind a text: more than rounding does."""


@torch.inference_mode()
def probe_states(model: Any, tokenizer: Any, blocks: Blocks, name: str) -> torch.Tensor:
    """Run two inputs that differ in the last token through all blocks, and one with padding.

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

    Raises
    ------
    BackboneLoadError
        If the model does not run, or what it gives for a text depends on the padding behind it.
    """
    usable = [i for i in range(16) if i != tokenizer.pad_token_id]
    ids = torch.tensor([[*usable[:4], usable[4]], [*usable[:4], usable[5]]], device=model.device)
    padding = torch.full((1, 3), padding_id(tokenizer, model), device=model.device)
    padded = torch.cat([ids[:1], padding], 1)
    mask = torch.cat([torch.ones_like(ids[:1]), torch.zeros_like(padding)], 1)
    layers = range(blocks.n_layers + 1)
    refs = tuple(
        LayerRef(name, layer, pooling) for pooling in ("first", "mean") for layer in layers
    )
    try:
        tap = LayerTap(blocks, refs)
        with tap:
            alone = torch.from_numpy(tap.run(model, ids, torch.ones_like(ids)))
            beside = torch.from_numpy(tap.run(model, padded, mask))
    except LayerError as err:
        raise BackboneLoadError(str(err)) from err
    except Exception as err:  # whatever a model of any family may do with five tokens
        msg = f"{name}: {type(model).__name__} does not run on five tokens and a mask: {err}"
        raise BackboneLoadError(msg) from err
    means, padded_means = alone[len(layers) :, 0], beside[len(layers) :, 0]
    change = ((padded_means - means).norm(dim=1) / means.norm(dim=1)).max()
    if change > _MOST_CHANGE[model.dtype]:
        raise BackboneLoadError(
            f"{name}: {type(model).__name__} does not keep padding apart: three tokens of it "
            f"change a layer by {change:.2g} of its norm, so that what a text is would depend on "
            "the texts beside it. Use a model that goes by the attention mask."
        )
    return alone[len(layers) - 1]


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
