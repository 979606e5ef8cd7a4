"""Loads the parts of a backbone from disk and determines its identity."""

from collections.abc import Sequence
from typing import Any

from layerfuse.backbone.blocks import Blocks, find_blocks
from layerfuse.backbone.load import choose_max_tokens, load_model, move, tokenizer_digest
from layerfuse.backbone.probe import choose_poolings, is_causal, probe_states
from layerfuse.backbone.source import Source, code_digest
from layerfuse.core.errors import BackboneLoadError
from layerfuse.core.layers import Pooling
from layerfuse.core.spec import BackboneSpec, Dtype


def load_parts(
    source: Source,
    *,
    pooling: Pooling | Sequence[Pooling] | None,
    max_tokens: int | None,
    dtype: Dtype,
    device: str | None,
    prompt: str,
    skip_first_token: bool,
    trust_remote_code: bool,
    blocks: str | None,
    name: str | None,
) -> tuple[Any, Any, Blocks, BackboneSpec]:
    """Load a model and its tokenizer, find its blocks, and make its spec.

    Parameters
    ----------
    source : Source
        The backbone on disk.
    pooling, max_tokens, dtype, device, prompt, skip_first_token, trust_remote_code, blocks, name
        As in ``Backbone.from_pretrained``.

    Returns
    -------
    model : PreTrainedModel
        Frozen, in evaluation mode, on its device.
    tokenizer : PreTrainedTokenizerFast
        Its tokenizer.
    blocks : Blocks
        Its block list.
    spec : BackboneSpec
        Every setting that changes the outputs.

    Raises
    ------
    BackboneLoadError
        If the backbone is incomplete, its blocks are not found, the prompt leaves no room for text,
        the model does not run, or padding changes its outputs.
    """
    try:
        model, tokenizer = load_model(source.path, dtype, trust_remote_code=trust_remote_code)
    except BackboneLoadError as err:
        if not source.packaged:
            raise
        raise BackboneLoadError(
            f"{err} If {source.path} is damaged, delete it; the model is then fetched again."
        ) from err
    name = name or source.name
    move(model, device)
    found = find_blocks(model, blocks)
    states = probe_states(model, tokenizer, found, name)
    spec = BackboneSpec(
        name=name,
        weights=source.weights,
        tokenizer=tokenizer_digest(tokenizer),
        n_layers=found.n_layers,
        hidden_size=states.shape[-1],
        poolings=choose_poolings(pooling, tokenizer, causal=is_causal(states)),
        max_tokens=choose_max_tokens(max_tokens, model, tokenizer, name, prompt),
        dtype=dtype,
        prompt=prompt,
        skip_first_token=skip_first_token,
        blocks=found.requested,
        code=code_digest(model, source.path),
    )
    return model, tokenizer, found, spec
