"""Finds the transformer blocks of a model of any family."""

import threading
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from layerfuse.core.errors import BackboneLoadError


class Turn:
    """A lock that can be copied and pickled; the copy is new and not held."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type["Turn"], tuple[()]]:
        """Copy and pickle as a new lock."""
        return Turn, ()


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """The block list of a model, and the modules whose outputs are layers.

    Parameters
    ----------
    path : str
        Attribute path of the block list inside the model.
    container : nn.ModuleList
        The block list itself.
    outputs : tuple of nn.Module
        Distinct modules whose outputs, in the order of their calls, are layers 1 .. n_layers.
    n_layers : int
        Number of block calls in one forward pass.
    requested : str
        The path, if the user named it and it differs from the one found automatically.
    turn : Turn
        Lock to hold while hooks are attached; otherwise those of two threads would receive each
        other's texts.
    """

    path: str
    container: nn.ModuleList
    outputs: tuple[nn.Module, ...]
    n_layers: int
    requested: str = ""
    turn: Turn = field(default_factory=Turn)

    @property
    def shared(self) -> bool:
        """Whether blocks are called several times, as in ALBERT; then the model cannot be cut."""
        return len(self.outputs) != self.n_layers


def find_blocks(model: nn.Module, path: str | None = None, n_layers: int | None = None) -> Blocks:
    """Find the block list of a model.

    Parameters
    ----------
    model : nn.Module
        A transformers model with a config.
    path : str, optional
        Attribute path of the block list, such as ``encoder.layer``. Default: found automatically.
    n_layers : int, optional
        Number of block calls of a cut model. Default: from its configuration.

    Returns
    -------
    Blocks
        The blocks, in the order in which they run.

    Raises
    ------
    BackboneLoadError
        If the path names no block list; or, without a path, if not exactly one list fits.
    """
    n_layers = n_layers or _config_n_layers(model)
    lists = {name: m for name, m in model.named_modules() if isinstance(m, nn.ModuleList)}
    alone = [name for name, m in _outermost(lists).items() if len(m) == n_layers]
    alone = alone or [n for n in lists if n.endswith("albert_layer_groups")]
    if path is not None and path not in lists:
        raise BackboneLoadError(
            f"blocks={path!r} is not a list of blocks in {type(model).__name__}. "
            f"Its lists are: {_describe(lists)}."
        )
    candidates = alone if path is None else [path]
    if len(candidates) != 1:
        raise BackboneLoadError(
            f"Expected exactly one list of {n_layers} blocks in {type(model).__name__}, "
            f"found {len(candidates)}. Name it with blocks=...; the lists are: {_describe(lists)}."
        )
    container = lists[candidates[0]]
    outputs = list(container)
    # DeBERTa v2 xlarge adds a convolution to the output of its first block.
    parent = model.get_submodule(candidates[0].rpartition(".")[0])
    convolution = getattr(parent, "conv", None)
    if isinstance(convolution, nn.Module):
        outputs[0] = convolution
    requested = "" if candidates == alone else candidates[0]
    return Blocks(candidates[0], container, tuple(outputs), n_layers or len(outputs), requested)


def text_config(model: nn.Module) -> Any:
    """Return the configuration of the text part of a model."""
    config: Any = model.config
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def _config_n_layers(model: nn.Module) -> int:
    config = text_config(model)
    return int(
        getattr(config, "num_hidden_layers", None) or getattr(config, "num_layers", None) or 0
    )


def _describe(lists: dict[str, nn.ModuleList]) -> str:
    named = [f"{name} ({len(blocks)})" for name, blocks in _outermost(lists).items()]
    return ", ".join(named) or "none"


def _outermost(lists: dict[str, nn.ModuleList]) -> dict[str, nn.ModuleList]:
    """Leave out lists inside a block, as T5 has, which are never the block list."""
    return {n: m for n, m in lists.items() if not any(part.isdigit() for part in n.split("."))}
