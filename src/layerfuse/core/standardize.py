"""Standardise one block of features, guarding dimensions that never vary."""

from dataclasses import dataclass

import numpy as np

from layerfuse.core.arrays import Features


@dataclass(frozen=True, slots=True, eq=False)
class Standardizer:
    """Mean and inverse standard deviation of each dimension.

    Parameters
    ----------
    mean : float32 array of shape (feature,)
        Subtracted.
    scale : float32 array of shape (feature,)
        Multiplied; 0 for a dead dimension, which so drops out instead of exploding.
    """

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, features: Features) -> "Standardizer":
        """Measure the training texts."""
        return cls.of_moments(features.mean(0, dtype=np.float64), features.var(0, dtype=np.float64))

    @classmethod
    def of_moments(cls, mean: np.ndarray, variance: np.ndarray) -> "Standardizer":
        """Take mean and variance (feature,) as measured elsewhere, in double precision."""
        deviation = np.sqrt(np.maximum(variance, 0.0))
        # What is left of a constant in float32 is rounding noise of its own size.
        dead = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-12)
        scale = np.where(dead, 0.0, 1.0 / np.where(dead, 1.0, deviation))
        return cls(mean.astype(np.float32), scale.astype(np.float32))

    def apply(self, features: Features) -> Features:
        """Return standardised features, float32."""
        standard: Features = (features - self.mean) * self.scale
        return standard
