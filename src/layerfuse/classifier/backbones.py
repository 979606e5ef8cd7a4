"""The backbones that a classifier's parameters name."""

from collections.abc import Mapping
from os import PathLike
from typing import Any

from layerfuse.backbone import Backbone
from layerfuse.core.errors import ShapeError

_OPTIONS = ("pooling", "max_tokens", "dtype", "device", "offline")


def load_named(parameters: Mapping[str, Any]) -> list[Backbone]:
    """Load the backbones given by name; those given ready are taken as they are.

    Parameters
    ----------
    parameters : mapping
        Constructor arguments by name.

    Returns
    -------
    list of Backbone
        In the order given, of distinct names.

    Raises
    ------
    ShapeError
        If there is none, or two have the same name.
    BackboneLoadError
        If one cannot be loaded.
    """
    given = parameters["backbones"]
    if isinstance(given, str | PathLike | Backbone) or not given:
        raise ShapeError(f"backbones={given!r}: expected a list of at least one backbone.")
    options = {name: parameters[name] for name in _OPTIONS}
    loaded = [
        one if isinstance(one, Backbone) else Backbone.from_pretrained(str(one), **options)
        for one in given
    ]
    names = [backbone.name for backbone in loaded]
    if len(set(names)) != len(names):
        raise ShapeError(
            f"Expected backbones of different names, got {', '.join(names)}. Load one of them "
            "with Backbone.from_pretrained(..., name=...)."
        )
    return loaded
