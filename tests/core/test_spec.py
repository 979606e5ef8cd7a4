"""BackboneSpec: its fingerprint covers every setting that changes outputs, and nothing else."""

import dataclasses
import json

import pytest

from layerfuse.core.errors import ShapeError, UnknownOptionError
from layerfuse.core.layers import LayerRef
from layerfuse.core.spec import BackboneSpec

SPEC = BackboneSpec(
    name="toy",
    weights="sha256:1",
    tokenizer="sha256:2",
    n_layers=2,
    hidden_size=8,
    poolings=("mean", "last"),
    max_tokens=64,
)

OTHER = {
    "weights": "sha256:9",
    "tokenizer": "sha256:9",
    "n_layers": 3,
    "hidden_size": 9,
    "poolings": ("last", "mean"),
    "max_tokens": 65,
    "dtype": "bfloat16",
    "prompt": "query: ",
    "skip_first_token": True,
    "extraction_version": SPEC.extraction_version + 1,
    "blocks": "other.layers",
    "code": "sha256:c",
}


def test_every_field_but_the_name_is_tried():
    assert {field.name for field in dataclasses.fields(SPEC)} == {"name", *OTHER}


@pytest.mark.parametrize("field", OTHER)
def test_fingerprint_changes_with_the_field(field):
    other = dataclasses.replace(SPEC, **{field: OTHER[field]})
    assert other.fingerprint != SPEC.fingerprint


def test_fingerprint_does_not_change_with_the_name():
    renamed = dataclasses.replace(SPEC, name="other")
    assert renamed.fingerprint == SPEC.fingerprint
    assert len(SPEC.fingerprint) == 32
    assert int(SPEC.fingerprint, 16) >= 0


def test_round_trip_through_json():
    spec = dataclasses.replace(SPEC, prompt='ü "quoted"\n', skip_first_token=True)
    again = BackboneSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again == spec
    assert again.fingerprint == spec.fingerprint


def test_refs_are_every_layer_under_every_pooling():
    assert SPEC.refs() == tuple(
        LayerRef("toy", layer, pooling) for layer in (0, 1, 2) for pooling in ("mean", "last")
    )


@pytest.mark.parametrize("poolings", [(), ("mean", "mean")])
def test_refuses_no_pooling_or_one_twice(poolings):
    with pytest.raises(ShapeError, match="at least one pooling, none twice"):
        dataclasses.replace(SPEC, poolings=poolings)


@pytest.mark.parametrize(
    ("field", "value", "choice"),
    [("poolings", ("men",), "weighted_mean"), ("dtype", "float16", "bfloat16")],
)
@pytest.mark.unchecked
def test_refuses_unknown_options(field, value, choice):
    with pytest.raises(UnknownOptionError, match=choice):
        dataclasses.replace(SPEC, **{field: value})


def test_refuses_no_tokens():
    with pytest.raises(ShapeError, match="max_tokens=0"):
        dataclasses.replace(SPEC, max_tokens=0)
