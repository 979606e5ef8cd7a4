"""Array types with named axes, so that signatures state the order of axes.

Axis names: ``layer text hidden feature component class``. Tests check them at run time with
beartype; in production they cost nothing.
"""

import numpy as np
from jaxtyping import Float, Float32, Int, Shaped

LayerArray = Float32[np.ndarray, "layer text hidden"]
"""Pooled hidden states; each row is one contiguous (text, hidden) matrix."""

Features = Float[np.ndarray, "text feature"]
"""One feature matrix, a row per text."""

Block = Float[np.ndarray, "text _"]
"""One of several feature matrices of the same texts, which may differ in width."""

Axes = Float[np.ndarray, "feature component"]
"""Directions in the space of features, as columns."""

Coefficients = Float[np.ndarray, "feature class"]
"""A linear model: one column per class."""

Kernel = Float[np.ndarray, "sample sample"]
"""Inner products between all pairs of a sample of texts."""

ClassIndices = Int[np.ndarray, " text"]
"""Labels as indices 0 .. n_classes - 1."""

Targets = Float[np.ndarray, "text class"]
"""One column per class: one-hot targets, decisions, probabilities or losses."""

PerText = Float[np.ndarray, " text"]
"""One number per text, such as a loss."""

PerSample = Float[np.ndarray, " sample"]
"""One number per text of a sample."""

Digests = Shaped[np.ndarray, " text"]
"""One 16-byte digest per text, dtype ``S16`` or ``V16``."""

TextLayer = Float[np.ndarray, "text layer"]
"""One number per text and layer."""

Gates = Float[np.ndarray, "text source"]
"""Weight of each source or layer for each text."""
