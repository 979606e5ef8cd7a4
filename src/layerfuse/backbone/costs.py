"""``measure_costs``: what a backbone costs when it ends after each of its layers."""

import time
from collections.abc import Sequence

import numpy as np

from layerfuse.backbone.backbone import Backbone
from layerfuse.core.costs import DepthCosts

N_TEXTS = 64
"""Texts of the probe, drawn from those given."""

_ROUNDS = 3  # the fastest counts: whatever else the machine does only adds


def measure_costs(backbone: Backbone, texts: Sequence[str], *, random_state: int = 0) -> DepthCosts:
    """Measure time per text and count bytes of weights, by depth.

    Time is measured at the first and at the deepest layer, on 64 of the texts, and shared out
    evenly between the blocks: those of one backbone are alike. It is that of this machine, as busy
    as it is.

    Parameters
    ----------
    backbone : Backbone
        Whole, or cut.
    texts : sequence of str
        Like those to come: long ones take longer.
    random_state : int
        Draws the texts of the probe.

    Returns
    -------
    DepthCosts
        Milliseconds a text, tokenisation included, and bytes that a cut backbone keeps.
    """
    rng = np.random.default_rng(random_state)
    drawn = rng.choice(len(texts), min(N_TEXTS, len(texts)), replace=False).tolist()
    sample = [texts[i] for i in drawn]
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
    # A cut keeps one block at least; where one block is called many times it cuts nothing.
    kept = [
        len(blocks) if backbone.blocks.shared else max(1, layer)
        for layer in range(backbone.deepest + 1)
    ]
    return tuple(whole - sum(blocks[n:]) for n in kept)
