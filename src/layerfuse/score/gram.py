"""Gram matrices in double precision, summed over batches of texts, and their eigenvalues."""

import numpy as np

from layerfuse.core.arrays import Features

ROWS = 4096
"""Texts in double precision at once."""

_NOISE = 1e-13  # relative to the largest eigenvalue: rounding error of a zero eigenvalue


def gram(features: Features, *, centre: bool) -> np.ndarray:
    """Return X'X or XX', whichever is smaller.

    Parameters
    ----------
    features : array of shape (text, feature)
        X.
    centre : bool
        Whether to subtract the mean over texts first.

    Returns
    -------
    float64 array of shape (feature, feature) or (text, text)
        X'X and XX' have the same nonzero eigenvalues.
    """
    n_texts, width = features.shape
    mean = features.mean(0, dtype=np.float64) if centre else np.zeros(width)
    if width > n_texts:
        whole = features - mean
        return np.asarray(whole @ whole.T)
    total = np.zeros((width, width))
    for start in range(0, n_texts, ROWS):
        part = features[start : start + ROWS] - mean
        total += part.T @ part
    return total


def spectrum(features: Features, *, centre: bool) -> np.ndarray:
    """Return the squared singular values above rounding noise, descending."""
    eigenvalues = np.linalg.eigvalsh(gram(features, centre=centre))[::-1]
    return np.asarray(eigenvalues[eigenvalues > noise_floor(eigenvalues)])


def noise_floor(eigenvalues: np.ndarray) -> float:
    """Return the size below which an eigenvalue of a Gram matrix is rounding noise."""
    return max(float(eigenvalues.max(initial=0.0)), 0.0) * _NOISE
