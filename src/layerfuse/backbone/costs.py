"""``measure_costs``: the cost of a backbone by the layer at which it is cut."""

import time
from collections.abc import Iterable, Sequence

import numpy as np

from layerfuse.backbone.backbone import Backbone
from layerfuse.core.costs import DepthCosts
from layerfuse.core.texts import as_texts

N_TEXTS = 64
"""Number of texts on which time is measured."""

_ROUNDS = 3  # the fastest counts, because other load only adds time


def measure_costs(backbone: Backbone, texts: Iterable[str], *, random_state: int = 0) -> DepthCosts:
    """Measure time per text and count bytes of weights, by depth.

    Time is measured on 64 of the texts, at layer 0 and at the deepest layer. The difference is
    divided evenly between the blocks, because the blocks of a backbone are alike. It depends on
    this machine and its present load.

    Parameters
    ----------
    backbone : Backbone
        Cut or uncut.
    texts : column of str
        Texts like those that will be predicted, because time depends on length; at least one.
    random_state : int
        Seed for the draw of the 64 texts.

    Returns
    -------
    DepthCosts
        Milliseconds per text, tokenisation included, and bytes of weights that a cut keeps.
    """
    rng = np.random.default_rng(random_state)
    column = as_texts(texts)
    drawn = rng.choice(len(column), min(N_TEXTS, len(column)), replace=False).tolist()
    sample = [column[i] for i in drawn]
    ends = [_milliseconds(backbone, sample, layer) for layer in (0, backbone.deepest)]
    by_layer = np.linspace(ends[0], max(ends), backbone.deepest + 1)
    return DepthCosts(backbone.name, tuple(by_layer.tolist()), _weight_bytes(backbone))


def _milliseconds(backbone: Backbone, texts: Sequence[str], layer: int) -> float:
    seconds = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        backbone.embed(texts, [layer], progress=False)
        seconds.append(time.perf_counter() - start)
    return 1000 * min(seconds) / len(texts)


def _weight_bytes(backbone: Backbone) -> tuple[int, ...]:
    whole = sum(p.nbytes for p in backbone.model.parameters())
    blocks = [sum(p.nbytes for p in block.parameters()) for block in backbone.blocks.container]
    # A cut keeps at least one block, and all if they are shared between layers.
    kept = [
        len(blocks) if backbone.blocks.shared else max(1, layer)
        for layer in range(backbone.deepest + 1)
    ]
    return tuple(whole - sum(blocks[n:]) for n in kept)
