"""Test runs of a loaded model: that it runs, its width, whether it is causal, its poolings."""

from collections.abc import Sequence
from typing import Any

import torch

from layerfuse.backbone.blocks import Blocks
from layerfuse.backbone.ids import padding_id
from layerfuse.backbone.tap import LayerTap
from layerfuse.core.errors import BackboneLoadError, LayerError
from layerfuse.core.layers import LayerRef, Pooling

_MOST_CHANGE = {torch.float32: 1e-3, torch.bfloat16: 0.05}
"""Largest change of a layer by padding, relative to its norm; more than rounding causes."""


@torch.inference_mode()
def probe_states(model: Any, tokenizer: Any, blocks: Blocks, name: str) -> torch.Tensor:
    """Run two inputs that differ in the last token, and one with padding, through all blocks.

    Parameters
    ----------
    model : PreTrainedModel
        The model.
    tokenizer : PreTrainedTokenizerFast
        Its tokenizer.
    blocks : Blocks
        Its block list.
    name : str
        Name of the backbone, for messages.

    Returns
    -------
    Tensor of shape (2, hidden)
        States of the first token after the deepest block, for the two inputs.

    Raises
    ------
    BackboneLoadError
        If the model does not run, or padding after a text changes its output.
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
    except Exception as err:  # models of any family may raise anything
        msg = f"{name}: {type(model).__name__} does not run on five tokens and a mask: {err}"
        raise BackboneLoadError(msg) from err
    means, padded_means = alone[len(layers) :, 0], beside[len(layers) :, 0]
    change = ((padded_means - means).norm(dim=1) / means.norm(dim=1)).max()
    if change > _MOST_CHANGE[model.dtype]:
        raise BackboneLoadError(
            f"{name}: {type(model).__name__} does not ignore padding: three padding tokens change "
            f"a layer by {change:.2g} of its norm, so the embedding of a text would depend on the "
            "other texts of its batch. Use a model that respects the attention mask."
        )
    return alone[len(layers) - 1]


def is_causal(states: torch.Tensor) -> bool:
    """Return whether attention is causal.

    Parameters
    ----------
    states : Tensor of shape (2, hidden)
        From ``probe_states``.

    Returns
    -------
    bool
        True if the change of the last token did not change the state of the first.
    """
    change = (states[0] - states[1]).abs().max()
    return bool(change <= 1e-5 * states.abs().max())


def choose_poolings(
    requested: Pooling | Sequence[Pooling] | None, tokenizer: Any, *, causal: bool
) -> tuple[Pooling, ...]:
    """Return the requested poolings, or the default ones, as a tuple.

    Parameters
    ----------
    requested : Pooling or sequence of Pooling, optional
        Default: ``mean`` and the token that represents the whole text. That is ``last`` for
        decoders, where only it has seen all others, and ``first`` for encoders whose tokenizer puts
        a special token before every text.
    tokenizer : PreTrainedTokenizerFast
        The backbone's tokenizer.
    causal : bool
        Whether the model is a decoder.

    Returns
    -------
    tuple of Pooling
        The poolings, unchecked.
    """
    if requested is not None:
        return (requested,) if isinstance(requested, str) else tuple(requested)
    if causal:
        return ("mean", "last")
    return ("mean", "first") if _adds_first_token(tokenizer) else ("mean",)


def _adds_first_token(tokenizer: Any) -> bool:
    """Return whether a special token, such as BERT's [CLS], comes before every text."""
    first = tokenizer("a")["input_ids"][0]
    return first in tokenizer.all_special_ids and first != tokenizer.unk_token_id
