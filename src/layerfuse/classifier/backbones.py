"""The backbones that a classifier's parameters name."""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from layerfuse.backbone import Backbone
from layerfuse.core.errors import ShapeError, UnknownOptionError
from layerfuse.core.spec import BackboneSpec

_DEFAULTS = {"pooling": None, "max_tokens": None, "dtype": "float32"}
"""Of the settings that one parameter says for all; who gives such a value asks for nothing."""
_OPTIONS = (*_DEFAULTS, "device", "offline")


class SavedOrigin(str):  # noqa: SLOT000 - with slots, old protocols of pickle do not know it
    """Where a backbone of a saved classifier is from, with the settings it had.

    A string, so that it is a backbone by name for all others; clones and copies keep the rest.

    Parameters
    ----------
    origin : str
        What ``from_pretrained`` was given.
    name : str
        What it was called.
    settings : mapping of str to (Any, Any)
        The parameter of the saved classifier, None if there is none, and what the backbone had.
    """

    name: str
    settings: Mapping[str, tuple[Any, Any]]

    def __new__(
        cls, origin: str, name: str = "", settings: Mapping[str, tuple[Any, Any]] | None = None
    ) -> "SavedOrigin":
        """Make a string of the origin."""
        made = super().__new__(cls, origin)
        made.name, made.settings = name, settings or {}
        return made

    def options(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return its settings, but those that were asked for since instead."""
        return {"name": self.name} | {
            setting: had if parameters.get(setting) == asked else parameters[setting]
            for setting, (asked, had) in self.settings.items()
        }


def saved_parameters(
    saved: Sequence[tuple[str, BackboneSpec]], parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the constructor arguments that load the backbones of a saved classifier as they were.

    Parameters
    ----------
    saved : sequence of (str, BackboneSpec)
        Origin and spec of each backbone in use.
    parameters : mapping
        Constructor arguments as saved. Those of backbones that were given ready are not theirs.

    Returns
    -------
    dict
        ``backbones`` and ``prompt``; ``dtype`` where all have the same, whose default is a value.
        ``pooling`` and ``max_tokens`` stay, since by default each backbone has its own.
    """
    specs = [spec for _, spec in saved]
    prompts = [spec.prompt for spec in specs]
    found: dict[str, Any] = {"prompt": prompts if len(set(prompts)) > 1 else prompts[0]}
    if len({spec.dtype for spec in specs}) == 1:
        found["dtype"] = specs[0].dtype
    asked = {**parameters, **found}
    found["backbones"] = [
        SavedOrigin(
            origin,
            spec.name,
            {name: (asked.get(name), had) for name, had in _settings(spec).items()},
        )
        for origin, spec in saved
    ]
    return found


def _settings(spec: BackboneSpec) -> dict[str, Any]:
    """Return what ``Backbone.from_pretrained`` was told, but for the prompt, as JSON types."""
    pooling = spec.poolings[0] if len(spec.poolings) == 1 else list(spec.poolings)
    return {
        "pooling": pooling,
        "max_tokens": spec.max_tokens,
        "dtype": spec.dtype,
        "skip_first_token": spec.skip_first_token,
        "blocks": spec.blocks or None,
    }


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
        If one that is loaded already has another prompt, pooling, limit of tokens or dtype.
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
    for one in ready:
        _check_ready(one, parameters)
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
            own = one.options(parameters) if isinstance(one, SavedOrigin) else {}
            new = Backbone.from_pretrained(str(one), prompt=prompt, **(options | own))
            loaded.append(_told_apart(new, taken))
            taken[loaded[-1].name] = new.spec.fingerprint
    return loaded


def _check_ready(ready: Backbone, parameters: Mapping[str, Any]) -> None:
    """Refuse what is asked of a backbone that has other settings for good."""
    asked = {name: parameters[name] for name in _DEFAULTS if parameters[name] != _DEFAULTS[name]}
    if "pooling" in asked and not isinstance(asked["pooling"], str):
        several = list(asked["pooling"])
        asked["pooling"] = several[0] if len(several) == 1 else several
    has = _settings(ready.spec)
    for name, value in asked.items():
        if value != has[name]:
            raise UnknownOptionError(
                f"{name}={value!r}, but {ready.name} is loaded with {has[name]!r}. Give it to "
                "Backbone.from_pretrained."
            )


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
