"""Standardises features; constant dimensions become 0."""

from dataclasses import dataclass

import numpy as np

from layerfuse.core.arrays import Features


@dataclass(frozen=True, slots=True, eq=False)
class Standardizer:
    """Mean and inverse standard deviation of each dimension.

    Parameters
    ----------
    mean : float32 array of shape (feature,)
        Mean, to be subtracted.
    scale : float32 array of shape (feature,)
        Inverse standard deviation; 0 for a constant dimension, so that it drops out.
    """

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, features: Features) -> "Standardizer":
        """Fit on the features of the training texts."""
        return cls.of_moments(features.mean(0, dtype=np.float64), features.var(0, dtype=np.float64))

    @classmethod
    def of_moments(cls, mean: np.ndarray, variance: np.ndarray) -> "Standardizer":
        """Use a given mean and variance (feature,), in double precision."""
        deviation = np.sqrt(np.maximum(variance, 0.0))
        # A constant in float32 has rounding noise in proportion to its size.
        dead = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-12)
        scale = np.where(dead, 0.0, 1.0 / np.where(dead, 1.0, deviation))
        return cls(mean.astype(np.float32), scale.astype(np.float32))

    def apply(self, features: Features) -> Features:
        """Return standardised features, float32."""
        standard: Features = (features - self.mean) * self.scale
        return standard
