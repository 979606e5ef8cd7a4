"""Selection: non-empty, no layer twice, and how deep each backbone must run."""

import pytest

from layerfuse.core.errors import LayerError, SelectionError, ShapeError
from layerfuse.core.layers import LayerRef
from layerfuse.core.selection import Selection, Stability

A3, A7, B2 = LayerRef("a", 3, "mean"), LayerRef("a", 7, "last"), LayerRef("b", 2, "mean")


def test_refuses_to_be_empty():
    with pytest.raises(SelectionError, match="at least one layer"):
        Selection((), "why")


def test_refuses_a_layer_twice():
    with pytest.raises(SelectionError, match=r"once, got a:3:mean, b:2:mean, a:3:mean"):
        Selection((A3, B2, A3), "why")


def test_keeps_its_order():
    selection = Selection((B2, A7, A3), "why")
    assert list(selection) == [B2, A7, A3]
    assert len(selection) == 3
    assert str(selection) == "b:2:mean, a:7:last, a:3:mean"
    assert selection.backbones == ("b", "a")


@pytest.mark.parametrize(("backbone", "layer"), [("a", 7), ("b", 2)])
def test_deepest_of_each_backbone(backbone, layer):
    assert Selection((A7, B2, A3), "why").deepest(backbone) == layer


def test_deepest_of_a_backbone_without_layers():
    with pytest.raises(SelectionError, match="No layer of b was selected; selected: a:3:mean"):
        Selection((A3,), "why").deepest("b")


def test_stability_gives_the_share_of_a_layer():
    stability = Stability((A3, B2), (0.25, 1.0), (0.1, 0.2), 4)
    assert (stability[A3], stability[B2]) == (0.25, 1.0)
    with pytest.raises(LayerError, match="was not resampled"):
        _ = stability[LayerRef("other", 0, "mean")]


@pytest.mark.parametrize("parts", [((0.5,), (0.1, 0.1)), ((0.5, 0.5), (0.1,))])
def test_stability_has_a_share_and_an_error_for_each_layer(parts):
    with pytest.raises(ShapeError, match="one share and one standard error per layer, got 2"):
        Stability((A3, B2), *parts, 4)


@pytest.mark.parametrize(("share", "n_resamples"), [(1.1, 4), (-0.1, 4), (0.5, 0)])
def test_a_share_is_one_of_some_resamples(share, n_resamples):
    with pytest.raises(SelectionError, match="within 0 to 1 of at least one resample"):
        Stability((A3,), (share,), (0.1,), n_resamples)
