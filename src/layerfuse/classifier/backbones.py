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
_SAYABLE = tuple(_DEFAULTS)
_OPTIONS = (*_SAYABLE, "device", "offline")


class SavedOrigin(str):
    """Where a backbone of a saved classifier is from, with what no parameter says of it.

    A string, so that it is a backbone by name for all others; clones and copies keep the rest.

    Parameters
    ----------
    origin : str
        What ``from_pretrained`` was given.
    name : str
        What it was called.
    unsaid : mapping of str to (Any, Any)
        Its settings that the parameters may not say: the parameter of then, None if there is none,
        and the setting.
    """

    __slots__ = ("name", "unsaid")
    name: str
    unsaid: Mapping[str, tuple[Any, Any]]

    def __new__(
        cls, origin: str, name: str = "", unsaid: Mapping[str, tuple[Any, Any]] | None = None
    ) -> "SavedOrigin":
        """Make a string of the origin."""
        made = super().__new__(cls, origin)
        made.name, made.unsaid = name, unsaid or {}
        return made

    def check(self, spec: BackboneSpec, parameters: Mapping[str, Any]) -> None:
        """Refuse to go on with other settings than those it had, unless they were asked for.

        Raises
        ------
        UnknownOptionError
            Naming them.
        """
        now = _settings(spec)
        differing = {
            setting: value
            for setting, (asked, value) in self.unsaid.items()
            if now[setting] != value and parameters.get(setting) == asked
        }
        if differing:
            then = ", ".join(f"{name}={value!r}" for name, value in differing.items())
            here = ", ".join(f"{name}={now[name]!r}" for name in differing)
            raise UnknownOptionError(
                f"{self.name} was fitted with {then}, which the parameters of a loaded classifier "
                f"cannot say for each backbone; by its name it has {here}. Construct a "
                f"FusionClassifier with backbones=[Backbone.from_pretrained({str(self)!r}, "
                f"{then}), ...] to fit anew."
            )


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
        ``backbones`` and ``prompt``; ``pooling``, ``max_tokens`` and ``dtype`` where all have the
        same. Where they differ, as they may by default, the argument stays, and fitting with it
        goes on only if it gives what they had.
    """
    specs = [spec for _, spec in saved]
    prompts = [spec.prompt for spec in specs]
    found: dict[str, Any] = {"prompt": prompts if len(set(prompts)) > 1 else prompts[0]}
    each = [_settings(spec) for spec in specs]
    said = {name for name in _SAYABLE if all(own[name] == each[0][name] for own in each)}
    found |= {name: each[0][name] for name in said}
    found["backbones"] = [
        SavedOrigin(
            origin,
            spec.name,
            {name: (parameters.get(name), own[name]) for name in own if name not in said},
        )
        for (origin, spec), own in zip(saved, each, strict=True)
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
        If one that is loaded already has another prompt, pooling, limit of tokens or dtype; if one
        of a saved classifier would have other settings.
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
            name = one.name if isinstance(one, SavedOrigin) else None
            new = Backbone.from_pretrained(str(one), prompt=prompt, name=name, **options)
            if isinstance(one, SavedOrigin):
                one.check(new.spec, parameters)
            loaded.append(_told_apart(new, taken))
            taken[loaded[-1].name] = new.spec.fingerprint
    return loaded


def _check_ready(ready: Backbone, parameters: Mapping[str, Any]) -> None:
    """Refuse what is asked of a backbone that has other settings for good."""
    asked = {name: parameters[name] for name in _SAYABLE if parameters[name] != _DEFAULTS[name]}
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
