"""The backbones that a classifier's parameters name."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

from layerfuse.backbone import Backbone
from layerfuse.core.errors import ShapeError, UnknownOptionError

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
    UnknownOptionError
        If one that is loaded already has another prompt.
    BackboneLoadError
        If one cannot be loaded.
    """
    given = parameters["backbones"]
    if isinstance(given, str | PathLike | Backbone) or not given:
        raise ShapeError(f"backbones={given!r}: expected a list of at least one backbone.")
    options = {name: parameters[name] for name in _OPTIONS}
    prompts = _prompts(parameters["prompt"], given)
    loaded = [
        one
        if isinstance(one, Backbone)
        else Backbone.from_pretrained(str(one), prompt=prompt, **options)
        for one, prompt in zip(given, prompts, strict=True)
    ]
    names = [backbone.name for backbone in loaded]
    if len(set(names)) != len(names):
        raise ShapeError(
            f"Expected backbones of different names, got {', '.join(names)}. Load one of them "
            "with Backbone.from_pretrained(..., name=...)."
        )
    return loaded


def _prompts(asked: str | Sequence[str], given: Sequence[Any]) -> Sequence[str]:
    """Return the prompt of each backbone, which one that is loaded already has for good."""
    prompts = [asked] * len(given) if isinstance(asked, str) else asked
    if len(prompts) != len(given):
        raise ShapeError(
            f"prompt: got {len(prompts)} for {len(given)} backbones. Expected one string for all, "
            "or one for each, in order; an empty one is no prompt."
        )
    for one, prompt in zip(given, prompts, strict=True):
        if isinstance(one, Backbone) and prompt not in {"", one.spec.prompt}:
            raise UnknownOptionError(
                f"prompt={prompt!r}, but {one.name} is loaded with {one.spec.prompt!r}. Give the "
                "prompt to Backbone.from_pretrained."
            )
    return prompts
