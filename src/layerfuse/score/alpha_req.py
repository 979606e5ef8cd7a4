"""``alpha_req``: how close the spectrum of a layer is to a decay as 1 / rank."""

import numpy as np

from layerfuse.core.arrays import Features
from layerfuse.score.gram import spectrum
from layerfuse.score.info import BLIND, CriterionInfo, without_labels

MAX_RANK = 500
_COLLAPSED = np.array([1.0, 1e-13])  # for a layer with one direction; the second is rounding noise


def alpha_req(features: Features) -> float:
    """Return minus the distance of the decay exponent of the eigenvalues from 1.

    The exponent a of s_k ~ k^-a is fitted to the eigenvalues of the covariance, by a regression of
    log s_k on log k over the ranks k = 1 .. 500 with weights 1 / k, so that every octave of ranks
    counts equally. The score is -|a - 1|. Higher is better: a slower decay is taken for noise, a
    faster one for lost directions.

    Parameters
    ----------
    features : array of shape (text, feature)
        One layer. Centred here, not scaled.

    Returns
    -------
    float
        At most 0.

    Warnings
    --------
    A poor guide to accuracy: it uses no labels, and was proposed for choosing between models
    trained by self-supervision on images, not between layers.

    Source
    ------
    Agrawal et al. 2022, alpha-ReQ, *NeurIPS* 35; the weighted fit is that of Stringer et al. 2019,
    *Nature* 571, here from the first rank on, since layers may be narrow.
    """
    return -abs(decay(spectrum(features, centre=True)) - 1.0)


def decay(eigenvalues: np.ndarray) -> float:
    """Return the exponent a of eigenvalues ~ rank^-a.

    Parameters
    ----------
    eigenvalues : array of shape (component,)
        Positive, descending.

    Returns
    -------
    float
        The exponent, fitted on logarithms. With fewer than two eigenvalues, the second is taken to
        be of the size of rounding noise.
    """
    heights = np.log(eigenvalues[:MAX_RANK] if len(eigenvalues) > 1 else _COLLAPSED)
    ranks = np.arange(1, len(heights) + 1)
    slope, _ = np.polyfit(np.log(ranks), heights, 1, w=1 / np.sqrt(ranks))
    return -float(slope)


ALPHA_REQ = CriterionInfo(
    name="alpha_req",
    needs=frozenset(),
    cost="O(n d min(n, d) + min(n, d)^3)",
    source="Agrawal et al. 2022; Stringer et al. 2019",
    summary="nearness of the decay of the spectrum to 1 / rank",
    scorer=without_labels(alpha_req),
    warning=BLIND,
)
