"""Find the transformer blocks of a model, whatever its family."""

import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from torch import nn

from layerfuse.core.errors import BackboneLoadError


class Turn:
    """A lock for one user at a time; a copied or unpickled one is new and free."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type["Turn"], tuple[()]]:
        """Copy and pickle as a fresh lock."""
        return Turn, ()


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """The block list of a model and where to listen.

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
    asked : str
        The path, where it was asked for and is not the one that is found alone.
    turn : Turn
        Held while one listens: the hooks of two listeners would hear each other's texts.
    """

    path: str
    container: nn.ModuleList
    outputs: tuple[nn.Module, ...]
    n_layers: int
    asked: str = ""
    turn: Turn = field(default_factory=Turn)

    @property
    def shared(self) -> bool:
        """Whether blocks are called several times, as in ALBERT: then nothing can be cut off."""
        return len(self.outputs) != self.n_layers


def find_blocks(model: nn.Module, path: str | None = None, n_layers: int | None = None) -> Blocks:
    """Find the block list of a model.

    Parameters
    ----------
    model : nn.Module
        A transformers model with a config.
    path : str, optional
        Attribute path of the block list, as in ``encoder.layer``, where it cannot be found alone.
    n_layers : int, optional
        Number of block calls of a model that was cut. Default: what its configuration says.

    Returns
    -------
    Blocks
        The blocks, in the order in which they run.

    Raises
    ------
    BackboneLoadError
        If the path names no block list, or none or several lists could be the blocks.
    """
    n_layers = n_layers or _config_n_layers(model)
    lists = {name: m for name, m in model.named_modules() if isinstance(m, nn.ModuleList)}
    alone = [name for name, m in _outermost(lists).items() if len(m) == n_layers]
    alone = alone or [n for n in lists if n.endswith("albert_layer_groups")]
    if path is not None and path not in lists:
        raise BackboneLoadError(
            f"blocks={path!r} is no list of blocks in {type(model).__name__}. "
            f"It has these: {_describe(lists)}."
        )
    candidates = alone if path is None else [path]
    if len(candidates) != 1:
        raise BackboneLoadError(
            f"Expected exactly one list of {n_layers} blocks in {type(model).__name__}, "
            f"found {len(candidates)}. Name it with blocks=...; the lists are: {_describe(lists)}."
        )
    container = lists[candidates[0]]
    outputs = list(container)
    # DeBERTa v2 xlarge mixes a convolution into the output of its first block.
    parent = model.get_submodule(candidates[0].rpartition(".")[0])
    convolution = getattr(parent, "conv", None)
    if isinstance(convolution, nn.Module):
        outputs[0] = convolution
    asked = "" if candidates == alone else candidates[0]
    return Blocks(candidates[0], container, tuple(outputs), n_layers or len(outputs), asked)


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
    """Leave out lists inside a block (T5 has some), which are never the answer."""
    return {n: m for n, m in lists.items() if not any(part.isdigit() for part in n.split("."))}
