"""measure_costs: bytes are those of the cut backbones; time grows with depth."""

import pandas as pd
import pytest

from layerfuse.backbone import Backbone, measure_costs


@pytest.mark.parametrize("kind", ["tiny_encoder", "tiny_decoder"])
def test_weight_bytes_at_each_depth_are_those_that_a_cut_keeps(kind, request, toy_texts):
    backbone = Backbone.from_pretrained(request.getfixturevalue(kind), device="cpu")
    costs = measure_costs(backbone, toy_texts)
    kept = [
        sum(p.nbytes for p in backbone.cut(layer).model.parameters())
        for layer in range(backbone.deepest + 1)
    ]
    assert list(costs.weight_bytes) == kept
    assert kept[1] < kept[3]


def test_costs_of_a_cut_backbone_equal_those_of_the_whole_up_to_its_depth(tiny_encoder, toy_texts):
    whole = Backbone.from_pretrained(tiny_encoder, device="cpu")
    cut = measure_costs(whole.cut(2), toy_texts)
    assert cut.weight_bytes == measure_costs(whole, toy_texts).weight_bytes[:3]
    assert cut.backbone == whole.name


@pytest.mark.unchecked
def test_costs_are_measured_on_a_column_with_any_index(tiny_encoder, toy_texts):
    backbone = Backbone.from_pretrained(tiny_encoder, device="cpu")
    training = pd.Series(toy_texts)[::2]
    assert measure_costs(backbone, training).backbone == backbone.name


def test_time_is_divided_evenly_among_the_blocks(tiny_encoder, toy_texts, monkeypatch):
    ticks = iter([0.0, 0.48, 1.0, 1.24, 2.0, 2.36, 3.0, 4.2, 5.0, 5.96, 6.0, 7.2])
    backbone = Backbone.from_pretrained(tiny_encoder, device="cpu")
    monkeypatch.setattr("layerfuse.backbone.costs.time.perf_counter", lambda: next(ticks))
    monkeypatch.setattr(Backbone, "embed", lambda *_, **__: None)
    costs = measure_costs(backbone, toy_texts)
    assert costs.milliseconds == pytest.approx((5, 10, 15, 20))  # of 48 texts, the fastest of 3
