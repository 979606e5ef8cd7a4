"""Makes the supervision of fusions and heads from the labels and parameters of a classifier."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from layerfuse.classifier.options import weight_by_index
from layerfuse.core.arrays import ClassIndices
from layerfuse.core.folds import separable_groups
from layerfuse.core.sample import distinct_texts
from layerfuse.core.supervision import Supervision
from layerfuse.train import class_weights, repeat_groups

_WARN_ABOVE = 0.05  # share of texts with a near-duplicate that is not held out with them


def supervise(
    texts: Sequence[str],
    classes: ClassIndices,
    names: np.ndarray,
    parameters: Mapping[str, Any],
    *,
    warn: bool = True,
) -> Supervision:
    """Return labels, weights and near-duplicate groups, from which fusions and heads learn.

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
    warn : bool
        Warn if many texts have near-duplicates that cannot be held out with them.

    Raises
    ------
    UnknownOptionError, LabelError
        As from ``weight_by_index``.

    Warns
    -----
    UserWarning
        If more than one text in twenty has near-duplicates that cannot be held out with it.
    """
    weights = class_weights(classes, weight_by_index(parameters["class_weight"], names.tolist()))
    repeats, copies = repeat_groups(texts), _numbers(texts)
    groups = separable_groups(classes, repeats)
    n_apart = int(((np.bincount(repeats)[repeats] > 1) & (np.bincount(groups)[groups] == 1)).sum())
    if warn and n_apart > _WARN_ABOVE * len(texts):
        warnings.warn(
            f"{n_apart} of {len(texts)} texts have near-duplicates that cannot be held out with "
            "them, because the group has more than a fifth of all texts or all texts of a class. "
            "Held-out accuracy and log loss are too optimistic, and so are choices based on them. "
            "Test on other texts.",
            stacklevel=3,
        )
    return Supervision(
        classes,
        weights,
        random_state=parameters["random_state"],
        progress=parameters["progress"],
        groups=groups,
        copies=copies,
    )


def keep_distinct(texts: Sequence[str], classes: ClassIndices) -> np.ndarray:
    """Return positions of one text per near-duplicate group and class, as ``distinct_texts``.

    Parameters
    ----------
    texts : sequence of str
        Any texts.
    classes : int array of shape (text,)
        Their class indices.
    """
    groups = separable_groups(classes, repeat_groups(texts))
    return distinct_texts(classes, groups, _numbers(texts))


def _numbers(texts: Sequence[str]) -> np.ndarray:
    """Return a number for each text; equal texts have the same number."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(text, len(numbers)) for text in texts])
