"""``importance``: gradient magnitude and attention entropy combined, as the paper proposes."""

from collections.abc import Mapping
from functools import partial
from typing import Literal, get_args

import numpy as np

from layerfuse.core.errors import UnknownOptionError, check_option
from layerfuse.core.layers import LayerRef
from layerfuse.score.attention_entropy import SPREADS, Spread, attention_entropy
from layerfuse.score.backbone_gradient import BACKBONE_GRADIENT
from layerfuse.score.gradient import GRADIENT
from layerfuse.score.info import CriterionInfo, Evidence, Measured, Need

GradientName = Literal["gradient", "backbone_gradient"]


def importance(
    weight: float = 0.5, prefer: Spread = "low", gradient: GradientName = "gradient"
) -> CriterionInfo:
    """Score a layer by gradient magnitude and attention entropy, each normalised over the layers.

    I_l = w n(g_l) + (1 - w) n(e_l), where g is the gradient and e the entropy of attention or, for
    ``prefer="low"``, its negative. n(v_l) = (v_l - min v) / (max v - min v) over the layers of the
    backbone that have both; it is 0 if v is equal for all. Higher is better, in 0 .. 1. Scores are
    not comparable between backbones, because each backbone is normalised by itself.

    Parameters
    ----------
    weight : float
        Weight w of the gradient, 0 .. 1.
    prefer : {"low", "high"}
        Which entropy is better. The paper does not say; see ``attention_entropy``.
    gradient : {"gradient", "backbone_gradient"}
        Gradient with respect to a mask on each layer (needs only the embeddings), or through the
        backbone.

    Returns
    -------
    CriterionInfo
        An argument for ``score_layers``; the name ``"importance"`` stands for the defaults.

    Raises
    ------
    UnknownOptionError
        If a parameter has an invalid value.

    Source
    ------
    Gwak and Jung 2025, arXiv:2504.05764, name both parts but give no formula; this one is ours.
    """
    if not 0 <= weight <= 1:
        raise UnknownOptionError(f"weight={weight} of the gradient: expected 0 .. 1.")
    check_option("prefer", prefer, SPREADS)
    check_option("gradient", gradient, get_args(GradientName))
    slope = GRADIENT if gradient == "gradient" else BACKBONE_GRADIENT
    entropy = attention_entropy(prefer)
    needs: frozenset[Need] = slope.needs | entropy.needs
    default = (weight, prefer, gradient) == (0.5, "low", "gradient")
    return CriterionInfo(
        name="importance" if default else f"importance({weight:g}, {prefer}, {gradient})",
        needs=needs,
        cost=f"gradient: {slope.cost}; entropy: {entropy.cost}",
        source="Gwak and Jung 2025, arXiv:2504.05764",
        summary=f"{gradient} and {prefer} entropy of attention, normalised and weighted",
        scorer=partial(_combined, weight, slope, entropy),
    )


def _combined(
    weight: float, gradient: CriterionInfo, entropy: CriterionInfo, evidence: Evidence
) -> Measured:
    entropies = _means(entropy.scorer(evidence))
    gradients = _means(gradient.scorer(evidence))
    refs = [ref for ref in evidence.block.refs if ref in entropies and ref in gradients]
    by_gradient = _normalise(np.array([gradients[ref] for ref in refs]))
    by_entropy = _normalise(np.array([entropies[ref] for ref in refs]))
    return dict(zip(refs, (weight * by_gradient + (1 - weight) * by_entropy).tolist(), strict=True))


def _means(measured: Measured) -> Mapping[LayerRef, float]:
    return {ref: float(np.mean(value)) for ref, value in measured.items()}


def _normalise(values: np.ndarray) -> np.ndarray:
    width = np.ptp(values)
    return (values - values.min()) / width if width > 0 else np.zeros_like(values)


IMPORTANCE = importance()
