"""What each layer in use adds to all others, on training texts."""

import math
from collections.abc import Sequence

import numpy as np

from layerfuse.core.costs import DepthCosts
from layerfuse.core.layers import LayerRef, LayerRows
from layerfuse.core.ridge import one_hot
from layerfuse.core.sample import sample_texts
from layerfuse.core.selection import Selection
from layerfuse.fuse import Supervision
from layerfuse.report.costs import LayerMarginal
from layerfuse.select.kernels import layer_kernel, loo_losses, read_standardized

MAX_TEXTS = 1000
"""A layer costs the cube of the texts it is judged on."""


def layer_marginals(
    embeddings: Sequence[LayerRows],
    selection: Selection,
    supervision: Supervision,
    costs: Sequence[DepthCosts],
) -> tuple[LayerMarginal, ...]:
    """Leave each layer in use out of the block-scaled concatenation of all.

    Judged by the leave-one-out Brier score of a ridge classifier, which needs no fit per text: a
    gain is how much the score rises without the layer.

    Parameters
    ----------
    embeddings : sequence of LayerRows
        Of the training texts, one per backbone in use or more.
    selection : Selection
        The layers in use.
    supervision : Supervision
        Labels of these texts. 1,000 that do not repeat each other are drawn, if there are more.
    costs : sequence of DepthCosts
        Of the backbones in use. A layer costs time only if its backbone ends after it.

    Returns
    -------
    tuple of LayerMarginal
        In the order of the selection; empty where one layer is in use alone.
    """
    if len(selection.refs) == 1:
        return ()
    distinct, labels = supervision.distinct(), supervision.labels
    rows = distinct[sample_texts(labels[distinct], MAX_TEXTS, supervision.random_state)]
    targets = one_hot(np.unique(labels[rows], return_inverse=True)[1])
    total = np.zeros((len(rows), len(rows)))
    for _, features in read_standardized(embeddings, selection.refs, rows):
        total += layer_kernel(features)
    # The same penalties with and without: a layer that says nothing then adds nothing.
    n_layers = len(selection.refs)
    whole = loo_losses(total, n_layers, targets)
    by_name = {one.backbone: one for one in costs}
    marginals = []
    # Read twice rather than kept: the kernels of a hundred layers would fill a gigabyte.
    for ref, features in read_standardized(embeddings, selection.refs, rows):
        gains = loo_losses(total - layer_kernel(features), n_layers, targets) - whole
        error = float(gains.std()) / math.sqrt(len(gains))
        milliseconds = _saved(ref, selection, by_name[ref.backbone])
        marginals.append(LayerMarginal(str(ref), float(gains.mean()), error, milliseconds))
    return tuple(marginals)


def _saved(ref: LayerRef, selection: Selection, costs: DepthCosts) -> float:
    """Return the milliseconds a text that a backbone would not need without a layer."""
    others = [one.layer for one in selection.refs if one.backbone == ref.backbone and one != ref]
    if not others:
        return costs.milliseconds[ref.layer]
    return max(0.0, costs.milliseconds[ref.layer] - costs.milliseconds[max(others)])
