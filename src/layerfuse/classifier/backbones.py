"""Loads the backbones that a classifier's parameters name."""

from collections.abc import Mapping, Sequence
from itertools import count
from os import PathLike
from typing import Any

import numpy as np

from layerfuse.backbone import Backbone
from layerfuse.core.errors import ShapeError, UnknownOptionError
from layerfuse.core.spec import BackboneSpec

_DEFAULTS = {"pooling": None, "max_tokens": None, "dtype": "float32"}
"""Settings that one parameter sets for all backbones. A default does not conflict with any."""
_OPTIONS = (*_DEFAULTS, "device", "offline")


class SavedOrigin(str):  # noqa: SLOT000 - with slots, old protocols of pickle do not know it
    """Origin of a backbone of a saved classifier, with its settings.

    It is a string, so that other code sees the name of a backbone; clones and copies keep the
    settings.

    Parameters
    ----------
    origin : str
        Argument of ``from_pretrained``.
    name : str
        Name of the backbone.
    settings : mapping of str to (Any, Any)
        By name of the setting: the parameter of the saved classifier (None if it has none), and the
        setting of the backbone.
    """

    name: str
    settings: Mapping[str, tuple[Any, Any]]

    def __new__(
        cls, origin: str, name: str = "", settings: Mapping[str, tuple[Any, Any]] | None = None
    ) -> "SavedOrigin":
        """Create the string and attach the settings."""
        made = super().__new__(cls, origin)
        made.name, made.settings = name, settings or {}
        return made

    def options(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return its settings, replaced by those parameters that were changed since the save."""
        return {"name": self.name} | {
            name: setting if parameters.get(name) == saved else parameters[name]
            for name, (saved, setting) in self.settings.items()
        }


def saved_parameters(
    saved: Sequence[tuple[str, BackboneSpec]], parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the constructor arguments that reload the backbones of a saved classifier.

    Parameters
    ----------
    saved : sequence of (str, BackboneSpec)
        Origin and spec of each backbone in use.
    parameters : mapping
        Constructor arguments as saved. A backbone that was given loaded may have other settings.

    Returns
    -------
    dict
        ``backbones`` and ``prompt``, and ``dtype`` if all backbones have the same. ``pooling`` and
        ``max_tokens`` are left out, because by default each backbone has its own.
    """
    specs = [spec for _, spec in saved]
    prompts = [spec.prompt for spec in specs]
    changed: dict[str, Any] = {"prompt": prompts if len(set(prompts)) > 1 else prompts[0]}
    if len({spec.dtype for spec in specs}) == 1:
        changed["dtype"] = specs[0].dtype
    updated = {**parameters, **changed}
    changed["backbones"] = [
        SavedOrigin(
            origin,
            spec.name,
            {name: (updated.get(name), setting) for name, setting in _settings(spec).items()},
        )
        for origin, spec in saved
    ]
    return changed


def _settings(spec: BackboneSpec) -> dict[str, Any]:
    """Return the arguments of ``Backbone.from_pretrained`` except the prompt, as JSON types."""
    pooling = spec.poolings[0] if len(spec.poolings) == 1 else list(spec.poolings)
    return {
        "pooling": pooling,
        "max_tokens": spec.max_tokens,
        "dtype": spec.dtype,
        "skip_first_token": spec.skip_first_token,
        "blocks": spec.blocks or None,
    }


def load_named(parameters: Mapping[str, Any]) -> list[Backbone]:
    """Load the backbones given by name, and return those given loaded unchanged.

    If a name is already in use, as by the same model with another prompt or by a folder of the same
    name, the later backbone is renamed to ``NAME-2``, and so on.

    Parameters
    ----------
    parameters : mapping
        Constructor arguments by name.

    Returns
    -------
    list of Backbone
        In the order given, with distinct names.

    Raises
    ------
    ShapeError
        If ``backbones`` is not a list or is empty, a backbone is given twice, two loaded ones have
        the same name, or the number of prompts is wrong.
    UnknownOptionError
        If a loaded backbone has another prompt, pooling, token limit or dtype.
    BackboneLoadError
        If a backbone cannot be loaded.
    """
    given = parameters["backbones"]
    several = isinstance(given, Sequence | np.ndarray) and not isinstance(given, str | bytes)
    if not several or not len(given):
        alone = " Put it in a list." if isinstance(given, str | PathLike | Backbone) else ""
        raise ShapeError(f"backbones={given!r}: expected a list of at least one backbone.{alone}")
    for one in given:
        if not isinstance(one, str | PathLike | Backbone):
            raise UnknownOptionError(
                f"backbones: expected names, paths or Backbone objects, got {one!r}."
            )
    options = {name: parameters[name] for name in _OPTIONS}
    prompts = _prompts(parameters["prompt"], given)
    loaded = [one for one in given if isinstance(one, Backbone)]
    for one in loaded:
        _check_settings(one, parameters)
    taken = {one.name: one.spec.fingerprint for one in loaded}
    if len(taken) < len(loaded):
        raise ShapeError(
            f"Expected backbones with different names, got {', '.join(one.name for one in loaded)}."
            " Load one of them with Backbone.from_pretrained(..., name=...)."
        )
    backbones = []
    for one, prompt in zip(given, prompts, strict=True):
        if isinstance(one, Backbone):
            backbones.append(one)
        else:
            saved = one.options(parameters) if isinstance(one, SavedOrigin) else {}
            new = Backbone.from_pretrained(str(one), prompt=prompt, **(options | saved))
            backbones.append(_with_free_name(new, taken))
            taken[backbones[-1].name] = new.spec.fingerprint
    return backbones


def _check_settings(loaded: Backbone, parameters: Mapping[str, Any]) -> None:
    """Raise if parameters ask for other settings than those a backbone was loaded with."""
    wanted = {name: parameters[name] for name in _DEFAULTS if parameters[name] != _DEFAULTS[name]}
    if "pooling" in wanted and not isinstance(wanted["pooling"], str):
        poolings = list(wanted["pooling"])
        wanted["pooling"] = poolings[0] if len(poolings) == 1 else poolings
    settings = _settings(loaded.spec)
    for name, value in wanted.items():
        if value != settings[name]:
            raise UnknownOptionError(
                f"{name}={value!r}, but {loaded.name} was loaded with {settings[name]!r}. Pass "
                f"{name} to Backbone.from_pretrained."
            )


def _with_free_name(new: Backbone, taken: Mapping[str, str]) -> Backbone:
    """Return a backbone under a free name; ``taken`` maps the names in use to fingerprints."""
    if new.name not in taken:
        return new
    if new.spec.fingerprint in taken.values():
        raise ShapeError(
            f"{new.name} is given twice, with the same prompt {new.spec.prompt!r}. Leave one out, "
            "or give each another prompt."
        )
    numbered = (f"{new.name}-{number}" for number in count(2))
    return new.renamed(next(name for name in numbered if name not in taken))


def _prompts(prompt: str | Sequence[str], given: Sequence[Any]) -> Sequence[str]:
    """Return one prompt per backbone; raise if a loaded backbone has another."""
    prompts = [prompt] * len(given) if isinstance(prompt, str) else prompt
    if len(prompts) != len(given):
        raise ShapeError(
            f"prompt: got {len(prompts)} for {len(given)} backbones. Expected one string for all, "
            "or one for each, in order; an empty string means no prompt."
        )
    for backbone, one in zip(given, prompts, strict=True):
        if isinstance(backbone, Backbone) and one not in {"", backbone.spec.prompt}:
            raise UnknownOptionError(
                f"prompt={one!r}, but {backbone.name} was loaded with {backbone.spec.prompt!r}. "
                "Pass the prompt to Backbone.from_pretrained."
            )
    return prompts
