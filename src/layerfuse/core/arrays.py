"""Array types with named axes, so that a signature says which way round an array lies.

Axis names: ``layer text hidden feature component class``. Tests check them at run time through
beartype; production pays nothing.
"""

import numpy as np
from jaxtyping import Float, Float32, Int, Shaped

LayerArray = Float32[np.ndarray, "layer text hidden"]
"""Pooled hidden states: layer axis first, so one row is one contiguous (text, hidden) matrix."""

Features = Float[np.ndarray, "text feature"]
"""One feature matrix, a row per text."""

Block = Float[np.ndarray, "text _"]
"""One of several feature matrices of the same texts, each of a width of its own."""

Axes = Float[np.ndarray, "feature component"]
"""Directions in the space of features, as columns."""

Coefficients = Float[np.ndarray, "feature class"]
"""A linear model: one column per class."""

Kernel = Float[np.ndarray, "sample sample"]
"""Inner products of some texts with each other."""

ClassIndices = Int[np.ndarray, " text"]
"""Labels as indices 0 .. n_classes - 1."""

Targets = Float[np.ndarray, "text class"]
"""One column per class: one-hot targets, decision values, probabilities or losses by class."""

PerText = Float[np.ndarray, " text"]
"""One number per text, such as a loss."""

PerSample = Float[np.ndarray, " sample"]
"""One number for each of some of the texts."""

Digests = Shaped[np.ndarray, " text"]
"""One 16-byte digest per text, dtype ``S16`` or ``V16``."""

TextLayer = Float[np.ndarray, "text layer"]
"""One number per text and layer."""

Gates = Float[np.ndarray, "text source"]
"""How much each source, or layer, counts for each text."""
