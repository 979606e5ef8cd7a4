"""Cuts a model after a block; later blocks are neither kept nor run."""

import copy
from typing import Any

from layerfuse.backbone.blocks import Blocks, find_blocks


def cut_model(model: Any, blocks: Blocks, deepest: int) -> tuple[Any, Blocks]:
    """Return a model that ends after a block and shares its tensors with the original.

    Parameters
    ----------
    model : PreTrainedModel
        The original, which is not changed.
    blocks : Blocks
        Its block list. Blocks that are shared between layers cannot be cut.
    deepest : int
        Number of blocks to keep; at least one is kept, because hooks need one.

    Returns
    -------
    model : PreTrainedModel
        The cut model, which a tap stops after its last block. It keeps the configuration of the
        uncut model, because some families derive more than the blocks from their number, such as a
        factor in each.
    blocks : Blocks
        Its block list.
    """
    keep = max(1, deepest)
    if blocks.shared or keep >= blocks.n_layers:
        return model, blocks
    memo = _tensors(model)
    # deepcopy reuses what the memo has, so deeper blocks become None.
    memo.update({id(block): None for block in blocks.container[keep:]})
    cut = copy.deepcopy(model, memo)
    _drop_deeper(cut, blocks.path, keep)
    return cut, find_blocks(cut, blocks.path, keep)


def copy_structure(model: Any, blocks: Blocks) -> tuple[Any, Blocks]:
    """Return a model and its block list that share the tensors of the original, but no modules.

    Hooks that are attached to the original afterwards are not on the copy.

    Parameters
    ----------
    model : PreTrainedModel
        The original, which is not changed. Hold ``blocks.turn``, so that it has no hooks now.
    blocks : Blocks
        Its block list.
    """
    copied: tuple[Any, Blocks] = copy.deepcopy((model, blocks), _tensors(model))
    return copied


def cut_class(kind: type[Any], path: str, keep: int) -> type[Any]:
    """Return a model class that is built uncut, without weights, and cut before they are loaded.

    Parameters
    ----------
    kind : type
        A transformers model class.
    path : str
        Attribute path of the block list.
    keep : int
        Number of blocks to keep.

    Returns
    -------
    type
        A subclass, used only while weights are loaded.
    """

    class Cut(kind):  # type: ignore[misc]
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            _drop_deeper(self, path, keep)

    # transformers looks classes up by these names.
    Cut.__name__, Cut.__qualname__, Cut.__module__ = (
        kind.__name__,
        kind.__qualname__,
        kind.__module__,
    )
    return Cut


def _tensors(model: Any) -> dict[int, object]:
    """Return a memo with which ``deepcopy`` shares all tensors instead of copying them."""
    return {id(t): t for t in (*model.parameters(), *model.buffers())}


def _drop_deeper(model: Any, path: str, keep: int) -> None:
    del model.get_submodule(path)[keep:]
    kept = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    # Some families, such as Zamba2, tie weights of deeper blocks to those of others.
    tied = model.all_tied_weights_keys.items()
    model.all_tied_weights_keys = {one: other for one, other in tied if {one, other} <= kept}
