"""Layers drawn from known factors, so that the right choice is known."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from layerfuse.core.layers import LayerEmbeddings, LayerRef


@pytest.fixture(scope="session")
def embed() -> Callable[..., LayerEmbeddings]:
    """Make the layers of one backbone of matrices (text, feature)."""

    def make(layers: Sequence[np.ndarray], backbone: str = "toy") -> LayerEmbeddings:
        refs = tuple(LayerRef(backbone, i, "mean") for i in range(len(layers)))
        return LayerEmbeddings(np.stack(layers).astype(np.float32), refs)

    return make


@pytest.fixture(scope="session")
def complements() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two layers that each hold one of the two things the label depends on, and the label."""
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(2, 240))
    layers = rng.normal(size=(2, 240, 6))
    layers[0, :, 0] = 3 * one
    layers[1, :, 0] = 3 * two
    return layers[0], layers[1], (one + two > 0).astype(int)
