"""Labels and parameters of a classifier to what its fusions and heads learn from."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from layerfuse.classifier.options import weight_by_index
from layerfuse.core.arrays import ClassIndices
from layerfuse.fuse import Supervision
from layerfuse.train import class_weights, repeat_groups


def supervise(
    texts: Sequence[str], classes: ClassIndices, names: np.ndarray, parameters: Mapping[str, Any]
) -> Supervision:
    """Return what fusions and heads learn from, which know texts that repeat each other.

    Parameters
    ----------
    texts : sequence of str
        Training texts.
    classes : int array of shape (text,)
        Their class indices.
    names : array of shape (class,)
        Labels, sorted.
    parameters : mapping
        Constructor arguments of the classifier by name.

    Raises
    ------
    UnknownOptionError, LabelError
        As from ``weight_by_index`` and ``class_weights``.
    """
    weights = class_weights(classes, weight_by_index(parameters["class_weight"], names.tolist()))
    state, progress = parameters["random_state"], parameters["progress"]
    return Supervision(classes, weights, state, progress, repeat_groups(texts))
