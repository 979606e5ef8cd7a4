"""Lengths at which a model turns its tokens by other angles, which a batch must not stand across.

LongRoPE (Phi-3, Phi-3.5, Phi-4) has two sets of frequencies, one for texts beyond the length of its
first training. transformers chooses for the whole batch, by its width: a short text beside a long
one, or read by another thread at that moment, would be read by those of the long one.
"""

from typing import Any

from layerfuse.backbone.blocks import text_config


def rotary_steps(model: Any) -> tuple[int, ...]:
    """Return the lengths above which other frequencies are used.

    Parameters
    ----------
    model : PreTrainedModel
        Of any family.

    Returns
    -------
    tuple of int
        In tokens; empty for nearly all models.
    """
    parameters = getattr(text_config(model), "rope_parameters", None) or {}
    kinds = [parameters, *parameters.values()]  # some families have one for each kind of layer
    steps = {
        int(kind["original_max_position_embeddings"])
        for kind in kinds
        if isinstance(kind, dict) and kind.get("rope_type") == "longrope"
    }
    return tuple(sorted(steps))
