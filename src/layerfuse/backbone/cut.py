"""Cut a model after some block: the rest is neither kept nor run."""

import copy
from typing import Any

from layerfuse.backbone.blocks import Blocks, find_blocks


def cut_model(model: Any, blocks: Blocks, deepest: int) -> tuple[Any, Blocks]:
    """Return a model that ends after a block and shares its tensors with the original.

    Parameters
    ----------
    model : PreTrainedModel
        Left as it is.
    blocks : Blocks
        Its block list. Where one block is called many times there is nothing to cut off.
    deepest : int
        Number of blocks to keep. At least one is kept, so that there is a place to listen.

    Returns
    -------
    model : PreTrainedModel
        The cut model, which runs as far as a tap lets it. Its configuration is that of the whole:
        families derive more from the number of blocks than the blocks, such as a factor in each.
    blocks : Blocks
        Its block list.
    """
    keep = max(1, deepest)
    if blocks.shared or keep >= blocks.n_layers:
        return model, blocks
    # deepcopy takes from the memo what it finds there: so tensors are shared, deeper blocks gone.
    memo: dict[int, object] = {id(t): t for t in (*model.parameters(), *model.buffers())}
    memo.update({id(block): None for block in blocks.container[keep:]})
    cut = copy.deepcopy(model, memo)
    _drop_deeper(cut, blocks.path, keep)
    return cut, find_blocks(cut, blocks.path, keep)


def cut_class(kind: type[Any], path: str, keep: int) -> type[Any]:
    """Return a class of models that are built whole, without weights, and cut before these come.

    Parameters
    ----------
    kind : type
        A class of transformers.
    path : str
        Attribute path of the block list.
    keep : int
        Number of blocks to keep.

    Returns
    -------
    type
        A subclass, for as long as weights are loaded.
    """

    class Cut(kind):  # type: ignore[misc]
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            _drop_deeper(self, path, keep)

    # transformers looks up what it knows of a class by these.
    Cut.__name__, Cut.__qualname__, Cut.__module__ = (
        kind.__name__,
        kind.__qualname__,
        kind.__module__,
    )
    return Cut


def _drop_deeper(model: Any, path: str, keep: int) -> None:
    del model.get_submodule(path)[keep:]
    left = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    # Some families tie weights of deeper blocks to those of others, Zamba2 is one.
    tied = model.all_tied_weights_keys.items()
    model.all_tied_weights_keys = {one: other for one, other in tied if {one, other} <= left}
