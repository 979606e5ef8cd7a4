"""Cut a model after some block: the rest is neither kept nor run."""

import copy
from typing import Any

from torch import nn

from layerfuse.backbone.blocks import Blocks, text_config


def cut_model(model: Any, blocks: Blocks, deepest: int) -> Any:
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
    PreTrainedModel
        The cut model; its configuration says how many blocks it has.
    """
    keep = max(1, deepest)
    if blocks.shared or keep >= blocks.n_layers:
        return model
    # deepcopy takes from the memo what it finds there: so tensors are shared, deeper blocks gone.
    memo: dict[int, object] = {id(t): t for t in (*model.parameters(), *model.buffers())}
    memo.update({id(block): None for block in blocks.container[keep:]})
    cut = copy.deepcopy(model, memo)
    container = cut.get_submodule(blocks.path)
    del container[keep:]
    _shorten(cut, blocks.n_layers, keep)
    return cut


def _shorten(model: nn.Module, n_layers: int, keep: int) -> None:
    """Make the configuration tell the new number of blocks; cut its lists of one entry a block."""
    for config in {id(c): c for c in (model.config, text_config(model))}.values():
        for name, value in vars(config).items():
            if not isinstance(value, list | tuple) or _is_other_list(name):
                continue
            if len(value) == n_layers:
                setattr(config, name, value[:keep])
        attribute = "num_hidden_layers" if hasattr(config, "num_hidden_layers") else "num_layers"
        setattr(config, attribute, keep)


def _is_other_list(name: str) -> bool:
    """Tell whether a list of a configuration has an entry for something else than each block."""
    return name in {"architectures", "pos_att_type"} or "token_id" in name
