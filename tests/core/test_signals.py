"""LayerSignals are validated when they are made."""

import numpy as np
import pytest

from layerfuse.core.errors import FeatureError, ShapeError
from layerfuse.core.signals import LayerSignals


def test_holds_a_column_per_layer() -> None:
    signals = LayerSignals("attention_entropy", "toy", (1, 2), np.ones((3, 2)))
    assert signals.values.shape == (3, 2)


@pytest.mark.parametrize(("layers", "shape"), [((1,), (3, 2)), ((1, 1), (3, 2)), ((1, 2), (0, 2))])
def test_wrong_shapes_are_refused(layers: tuple[int, ...], shape: tuple[int, int]) -> None:
    with pytest.raises(ShapeError, match="Expected"):
        LayerSignals("attention_entropy", "toy", layers, np.ones(shape))


def test_a_value_that_is_no_number_names_backbone_and_layer() -> None:
    values = np.ones((3, 2))
    values[1, 1] = np.nan
    with pytest.raises(FeatureError, match="toy, layer 7"):
        LayerSignals("backbone_gradient", "toy", (3, 7), values)
