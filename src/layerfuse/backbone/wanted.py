"""The layers that a caller wants of a backbone, checked before anything runs."""

from collections.abc import Iterable, Sequence
from typing import Any

from layerfuse.core.errors import LayerError, UnknownOptionError, as_integer
from layerfuse.core.layers import LayerRef
from layerfuse.core.spec import BackboneSpec

Refs = tuple[LayerRef, ...]
"""Layers of one backbone, in the order of the rows that are wanted."""


def wanted_refs(layers: Any, spec: BackboneSpec) -> Refs:
    """Return the refs of some layers under every pooling, in the order of the layers.

    Parameters
    ----------
    layers : sequence of int
        Layer numbers; 0 is the embedding output.
    spec : BackboneSpec
        Of the backbone.

    Raises
    ------
    LayerError
        If a layer is negative.
    UnknownOptionError
        If they are not a sequence of integers.
    """
    if isinstance(layers, str) or not isinstance(layers, Iterable):
        raise UnknownOptionError(f"layers={layers!r}: expected a list of integers, such as [0, 1].")
    numbers = [as_integer("layers", layer) for layer in layers]
    return tuple(LayerRef(spec.name, layer, p) for layer in numbers for p in spec.poolings)


def check_refs(refs: Sequence[LayerRef], spec: BackboneSpec, deepest: int) -> None:
    """Raise unless a backbone has these layers.

    Parameters
    ----------
    refs : sequence of LayerRef
        The layers.
    spec : BackboneSpec
        Of the backbone.
    deepest : int
        Its deepest layer.

    Raises
    ------
    LayerError
        If it does not have one of them, or there are none.
    """
    available = {ref for ref in spec.refs() if ref.layer <= deepest}
    for ref in refs:
        if ref not in available:
            raise LayerError(
                f"{ref} is not a layer of this backbone. {spec.name} has layers 0 to {deepest} "
                f"pooled by {', '.join(spec.poolings)}."
            )
    if not refs:
        raise LayerError(f"Expected at least one layer of {spec.name}, got none.")
