"""Accuracy and differences of accuracy, with intervals."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from layerfuse.core.errors import ShapeError


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its confidence interval.

    Parameters
    ----------
    value : float
        The estimate.
    low, high : float
        Ends of the interval.
    """

    value: float
    low: float
    high: float


def wilson_interval(n_right: int, n_texts: int, confidence: float = 0.95) -> Interval:
    """Return an accuracy with its interval.

    Parameters
    ----------
    n_right : int
        Texts predicted right.
    n_texts : int
        All texts, at least 1.
    confidence : float
        Between 0 and 1.

    Returns
    -------
    Interval
        Within 0 .. 1, sensible even where all are right.

    Source
    ------
    Wilson 1927, *Probable inference, the law of succession, and statistical inference*.
    """
    if not 0 <= n_right <= n_texts or n_texts < 1:
        raise ShapeError(
            f"Expected 0 <= n_right <= n_texts and n_texts >= 1, got {n_right}, {n_texts}."
        )
    z = float(norm.ppf(0.5 + confidence / 2))
    share = n_right / n_texts
    scale = 1 + z * z / n_texts
    centre = (share + z * z / (2 * n_texts)) / scale
    half = z / scale * float(np.sqrt(share * (1 - share) / n_texts + z * z / (4 * n_texts**2)))
    # Rounding would put the ends of 0 or n right beyond 0 or 1, or beside the share itself.
    return Interval(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def paired_gain(
    right: np.ndarray,
    baseline_right: np.ndarray,
    *,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int = 0,
) -> Interval:
    """Return the gain in accuracy over a baseline on the same texts, by the paired bootstrap.

    Parameters
    ----------
    right, baseline_right : bool array of shape (text,)
        Whether each text was predicted right.
    confidence : float
        Between 0 and 1.
    n_resamples : int
        Resamples of the texts.
    random_state : int
        Draws them.

    Returns
    -------
    Interval
        Difference of the two accuracies, with percentiles of its resamples.

    Source
    ------
    Efron and Tibshirani 1993, *An Introduction to the Bootstrap*, chapter 13.
    """
    if right.shape != baseline_right.shape:
        raise ShapeError(f"Expected the same texts, got {right.shape} and {baseline_right.shape}.")
    if not len(right):
        raise ShapeError("Expected at least one text, got none.")
    # A resample is described by how many texts of each kind of disagreement it holds.
    better = int((right & ~baseline_right).sum())
    worse = int((~right & baseline_right).sum())
    n_texts = len(right)
    shares = np.array([better, worse, n_texts - better - worse]) / n_texts
    counts = np.random.default_rng(random_state).multinomial(n_texts, shares, size=n_resamples)
    gains = (counts[:, 0] - counts[:, 1]) / n_texts
    tail = (1 - confidence) / 2
    low, high = np.quantile(gains, [tail, 1 - tail])
    return Interval((better - worse) / n_texts, float(low), float(high))
