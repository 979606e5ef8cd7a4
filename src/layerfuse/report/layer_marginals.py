"""What each layer in use adds to all others, on training texts."""

import math
from collections.abc import Sequence

import numpy as np

from layerfuse.core.costs import DepthCosts
from layerfuse.core.layers import LayerRef, LayerRows
from layerfuse.core.ridge import one_hot
from layerfuse.core.sample import sample_texts
from layerfuse.core.selection import Selection
from layerfuse.core.supervision import Supervision
from layerfuse.report.costs import LayerMarginal
from layerfuse.select.kernels import layer_kernel, loo_losses, read_standardized

MAX_TEXTS = 1000
"""Most texts used: time grows with the cube of their number."""


def layer_marginals(
    embeddings: Sequence[LayerRows],
    selection: Selection,
    supervision: Supervision,
    costs: Sequence[DepthCosts],
) -> tuple[LayerMarginal, ...]:
    """Measure how much worse a ridge classifier on all chosen layers becomes without each one.

    The gain is the rise of its leave-one-out Brier score, which has a closed form. The features are
    the block-scaled concatenation of the layers.

    Parameters
    ----------
    embeddings : sequence of LayerRows
        Embeddings of the training texts, at least one per backbone in use.
    selection : Selection
        Layers in use.
    supervision : Supervision
        Labels of the training texts. At most 1,000 texts are drawn, without near-duplicates.
    costs : sequence of DepthCosts
        Costs of the backbones in use. Only the deepest layer of a backbone costs time.

    Returns
    -------
    tuple of LayerMarginal
        In the order of the selection; empty with a single layer.
    """
    if len(selection.refs) == 1:
        return ()
    distinct, labels = supervision.distinct(), supervision.labels
    rows = distinct[sample_texts(labels[distinct], MAX_TEXTS, supervision.random_state)]
    targets = one_hot(np.unique(labels[rows], return_inverse=True)[1])
    total = np.zeros((len(rows), len(rows)))
    for _, features in read_standardized(embeddings, selection.refs, rows):
        total += layer_kernel(features)
    # The same penalties with and without a layer, so that an uninformative one adds nothing.
    n_layers = len(selection.refs)
    whole = loo_losses(total, n_layers, targets)
    by_name = {by_depth.backbone: by_depth for by_depth in costs}
    marginals = []
    # Layers are read again, because the kernels of a hundred layers would take a gigabyte.
    for ref, features in read_standardized(embeddings, selection.refs, rows):
        gains = loo_losses(total - layer_kernel(features), n_layers, targets) - whole
        error = float(gains.std()) / math.sqrt(len(gains))
        milliseconds = _saved(ref, selection, by_name[ref.backbone])
        marginals.append(LayerMarginal(str(ref), float(gains.mean()), error, milliseconds))
    return tuple(marginals)


def _saved(ref: LayerRef, selection: Selection, costs: DepthCosts) -> float:
    """Return the milliseconds a text that its backbone saves without a layer."""
    others = [r.layer for r in selection.refs if r.backbone == ref.backbone and r != ref]
    if not others:
        return costs.milliseconds[ref.layer]
    return max(0.0, costs.milliseconds[ref.layer] - costs.milliseconds[max(others)])
