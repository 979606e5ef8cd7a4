"""``attention_entropy``: how spread out the attention of a layer is."""

from functools import partial
from typing import Literal, get_args

from layerfuse.core.errors import check_option
from layerfuse.score.info import CriterionInfo
from layerfuse.score.signal import per_layer

Spread = Literal["low", "high"]
SPREADS: tuple[Spread, ...] = get_args(Spread)


def attention_entropy(prefer: Spread = "low") -> CriterionInfo:
    """Score a layer by the entropy of its attention, which the model gives as a signal.

    A = mean over texts, heads and queries of H(attention of the query) / log(number of keys it may
    attend to), in 0 .. 1. A is 0 if every query attends to one key, and 1 if it attends to all keys
    equally.

    Parameters
    ----------
    prefer : {"low", "high"}
        Which entropy is better: low (score -A, the default, because heads with a known function
        attend to few tokens) or high (score A). Which finds better layers is an empirical question.

    Returns
    -------
    CriterionInfo
        An argument for ``score_layers``. Layers without attention, such as the embedding output,
        get no score. All poolings of a layer get the same score.

    Raises
    ------
    UnknownOptionError
        If ``prefer`` is neither.

    Source
    ------
    Gwak and Jung 2025, arXiv:2504.05764, name it as a part of layer importance. Clark et al. 2019,
    arXiv:1906.04341, section 3: entropy of heads by layer.
    """
    check_option("prefer", prefer, SPREADS)
    return CriterionInfo(
        name="attention_entropy" if prefer == "low" else "attention_entropy(high)",
        needs=frozenset({"attention_entropy"}),
        cost="a forward pass over a sample of texts, its attention kept",
        source="Gwak and Jung 2025, arXiv:2504.05764; Clark et al. 2019, arXiv:1906.04341",
        summary=f"{prefer} entropy of attention, relative to the number of keys it may attend to",
        scorer=partial(per_layer, name="attention_entropy", sign=-1.0 if prefer == "low" else 1.0),
        warning="Uses no labels; attention does not measure what a pooled layer knows of the task.",
    )


ATTENTION_ENTROPY = attention_entropy()
