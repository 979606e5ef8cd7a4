"""``attention_entropy``: how widely the attention of a layer is spread."""

from functools import partial
from typing import Literal, get_args

from layerfuse.core.errors import check_option
from layerfuse.score.info import CriterionInfo
from layerfuse.score.signal import per_layer

Spread = Literal["low", "high"]
SPREADS: tuple[Spread, ...] = get_args(Spread)


def attention_entropy(prefer: Spread = "low") -> CriterionInfo:
    """Score a layer by the entropy of its attention, from what the model tells of it.

    A = mean over texts, heads and queries of H(attention of the query) / log(number of keys it may
    look at), in 0 .. 1: 0 where every query looks at one key, 1 where it looks at all alike.

    Parameters
    ----------
    prefer : {"low", "high"}
        Which is better: attention that picks (-A, the default: heads with a known function look at
        few tokens) or attention that gathers (+A). Which of them finds better layers is an
        empirical matter; both are offered.

    Returns
    -------
    CriterionInfo
        To be passed to ``score_layers``. Layers without attention, as the embedding output, get no
        score; all poolings of a layer get the same.

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
        summary=f"{prefer} entropy of attention, relative to the keys in sight",
        scorer=partial(per_layer, name="attention_entropy", sign=-1.0 if prefer == "low" else 1.0),
        warning="Attention is no measure of what a pooled layer tells: it knows no labels.",
    )


ATTENTION_ENTROPY = attention_entropy()
