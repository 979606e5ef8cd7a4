"""Lengths at which a model changes its rotary frequencies; a batch must stay on one side of them.

LongRoPE (Phi-3, Phi-3.5, Phi-4) has two sets of frequencies, one for texts beyond the original
training length. transformers chooses by the width of the whole batch. A short text in a batch with
a long one, or run by another thread at that moment, would get the frequencies of the long one.
"""

from typing import Any

from layerfuse.backbone.blocks import text_config


def rotary_steps(model: Any) -> tuple[int, ...]:
    """Return the lengths above which other frequencies are used.

    Parameters
    ----------
    model : PreTrainedModel
        Model of any family.

    Returns
    -------
    tuple of int
        Lengths in tokens; empty for nearly all models.
    """
    parameters = getattr(text_config(model), "rope_parameters", None) or {}
    kinds = [parameters, *parameters.values()]  # some families have one for each kind of layer
    steps = {
        int(kind["original_max_position_embeddings"])
        for kind in kinds
        if isinstance(kind, dict) and kind.get("rope_type") == "longrope"
    }
    return tuple(sorted(steps))
