"""Project a layer on its leading principal axes."""

import numpy as np
import scipy.linalg

from layerfuse.core.arrays import Block, Features
from layerfuse.core.standardize import Standardizer


def project(features: Features, n_axes: int) -> Block:
    """Return the coordinates of a standardised layer on its leading principal axes.

    Parameters
    ----------
    features : array of shape (text, feature)
        Finite. Standardised here and scaled by 1/sqrt(number of dimensions that vary), so that the
        mean squared norm of a text is 1 whatever the width.
    n_axes : int
        Largest number of axes.

    Returns
    -------
    array of shape (text, axis)
        Weakest axis first; all zeros for a constant layer.
    """
    standard = Standardizer.fit(features).apply(features)
    standard /= np.float32(np.sqrt(max(1, int(np.count_nonzero(standard.any(0))))))
    n_texts, width = standard.shape
    gram = standard.T @ standard if width <= n_texts else standard @ standard.T
    first = max(0, len(gram) - n_axes)
    values, vectors = scipy.linalg.eigh(gram, subset_by_index=[first, len(gram) - 1])
    if width <= n_texts:
        return np.asarray(standard @ vectors)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)))
