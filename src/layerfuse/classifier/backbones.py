"""The backbones that a classifier's parameters name."""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from layerfuse.backbone import Backbone
from layerfuse.core.errors import ShapeError, UnknownOptionError

_OPTIONS = ("pooling", "max_tokens", "dtype", "device", "offline")


def load_named(parameters: Mapping[str, Any]) -> list[Backbone]:
    """Load the backbones given by name; those given ready are taken as they are.

    Where another has the name already, such as the same model with another prompt or a folder that
    is called alike, the later one is called ``NAME-2``, and so on.

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
        If it is no list or an empty one, one is given twice, two given ready have the same name, or
        there are not as many prompts.
    UnknownOptionError
        If one that is loaded already has another prompt.
    BackboneLoadError
        If one cannot be loaded.
    """
    given = parameters["backbones"]
    several = isinstance(given, Sequence | np.ndarray) and not isinstance(given, str | bytes)
    if not several or not len(given):
        raise ShapeError(f"backbones={given!r}: expected a list of at least one backbone.")
    options = {name: parameters[name] for name in _OPTIONS}
    prompts = _prompts(parameters["prompt"], given)
    ready = [one for one in given if isinstance(one, Backbone)]
    taken = {one.name: one.spec.fingerprint for one in ready}
    if len(taken) < len(ready):
        raise ShapeError(
            f"Expected backbones of different names, got {', '.join(one.name for one in ready)}. "
            "Load one of them with Backbone.from_pretrained(..., name=...)."
        )
    loaded = []
    for one, prompt in zip(given, prompts, strict=True):
        if isinstance(one, Backbone):
            loaded.append(one)
        else:
            new = Backbone.from_pretrained(str(one), prompt=prompt, **options)
            loaded.append(_told_apart(new, taken))
            taken[loaded[-1].name] = new.spec.fingerprint
    return loaded


def _told_apart(new: Backbone, taken: Mapping[str, str]) -> Backbone:
    """Return it under a name that none has yet, given the fingerprints of the others by name."""
    if new.name not in taken:
        return new
    if new.spec.fingerprint in taken.values():
        raise ShapeError(
            f"{new.name} is given twice, with the same prompt {new.spec.prompt!r}. Leave one out, "
            "or give each a prompt of its own."
        )
    numbered = (f"{new.name}-{number}" for number in count(2))
    return new.renamed(next(name for name in numbered if name not in taken))


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
