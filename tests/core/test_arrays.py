"""The aliases state the order of axes, and an array with another order is refused."""

import numpy as np
import pytest

from layerfuse.core.arrays import ClassIndices, Features, LayerArray, PerText, Targets

CUBE = np.zeros((2, 3, 4), np.float32)
MATRIX = np.zeros((3, 4))
ROW = np.zeros(3)


@pytest.mark.parametrize(
    ("alias", "right", "wrong"),
    [
        (LayerArray, CUBE, CUBE.astype(np.float64)),
        (LayerArray, CUBE, CUBE[0]),
        (Features, MATRIX, ROW),
        (Features, CUBE[0], MATRIX.astype(int)),
        (Targets, MATRIX, CUBE),
        (ClassIndices, ROW.astype(int), ROW),
        (PerText, ROW, MATRIX),
    ],
)
def test_alias(alias, right, wrong):
    assert isinstance(right, alias)
    assert not isinstance(wrong, alias)
