"""The backbones that a classifier's parameters name."""

from collections.abc import Mapping, Sequence
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
        If there is none, two have the same name, or there are not as many prompts.
    BackboneLoadError
        If one cannot be loaded.
    """
    given = parameters["backbones"]
    if isinstance(given, str | PathLike | Backbone) or not given:
        raise ShapeError(f"backbones={given!r}: expected a list of at least one backbone.")
    options = {name: parameters[name] for name in _OPTIONS}
    loaded = [
        one
        if isinstance(one, Backbone)
        else Backbone.from_pretrained(str(one), prompt=prompt, **options)
        for one, prompt in zip(given, _prompts(parameters["prompt"], len(given)), strict=True)
    ]
    names = [backbone.name for backbone in loaded]
    if len(set(names)) != len(names):
        raise ShapeError(
            f"Expected backbones of different names, got {', '.join(names)}. Load one of them "
            "with Backbone.from_pretrained(..., name=...)."
        )
    return loaded


def _prompts(given: str | Sequence[str], n_backbones: int) -> Sequence[str]:
    """Return the prompt of each backbone."""
    if isinstance(given, str):
        return [given] * n_backbones
    if len(given) != n_backbones:
        raise ShapeError(
            f"prompt: got {len(given)} for {n_backbones} backbones. Expected one string for all, "
            "or one for each, in order; an empty one is no prompt."
        )
    return given
