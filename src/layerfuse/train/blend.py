"""The blended head: ridge and logistic regression in one linear head."""

from collections.abc import Sequence

import numpy as np

from layerfuse.core.calibrate import fit_pool_weights, pool
from layerfuse.core.supervision import Supervision
from layerfuse.train.head import HeadCandidate, LinearHead


def fit_blend(
    fitted: Sequence[tuple[HeadCandidate, LinearHead]], supervision: Supervision
) -> tuple[HeadCandidate, LinearHead]:
    """Combine linear heads in a logarithmic pool with exponents fitted on held-out texts.

    The pool is the softmax of a weighted sum of linear decisions, so it is one linear head and
    predicts as fast.

    Parameters
    ----------
    fitted : sequence of (HeadCandidate, LinearHead)
        Heads fitted on the same vectors.
    supervision : Supervision
        Labels and weights of the texts that the heads were fitted on.

    Returns
    -------
    candidate : HeadCandidate
        Held-out quality. Its exponents, one per head, are fitted on the same held-out log
        probabilities.
    head : LinearHead
        The blend.

    Source
    ------
    Genest and Zidek 1986, *Combining Probability Distributions*, Statistical Science 1(1), the
    logarithmic pool; weights by held-out likelihood as in Heskes 1998, *Selecting Weighting Factors
    in Logarithmic Opinion Pools*, NIPS 10.
    """
    members = [candidate.held_out for candidate, _ in fitted]
    pool_weights = fit_pool_weights(members, supervision)
    candidate = HeadCandidate.from_logits("blend", 0.0, pool(members, pool_weights), supervision)
    heads = [head for _, head in fitted]
    factors = [w * head.temperature for w, head in zip(pool_weights, heads, strict=True)]
    coefficients, intercept = (
        np.asarray(sum(f * part for f, part in zip(factors, parts, strict=True)), dtype=np.float32)
        for parts in ([h.coefficients for h in heads], [h.intercept for h in heads])
    )
    return candidate, LinearHead("blend", coefficients, intercept)
