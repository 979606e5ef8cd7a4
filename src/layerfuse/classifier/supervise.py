"""Labels and parameters of a classifier to what its fusions and heads learn from."""

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

_TOLD_ABOVE = 0.05  # share of texts that are known by others when held out


def supervise(
    texts: Sequence[str],
    classes: ClassIndices,
    names: np.ndarray,
    parameters: Mapping[str, Any],
    *,
    warn: bool = True,
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
    warn : bool
        Say where many texts repeat others that cannot be held out with them.

    Raises
    ------
    UnknownOptionError, LabelError
        As from ``weight_by_index``.

    Warns
    -----
    UserWarning
        If more than one text in twenty repeats others that cannot be held out with it.
    """
    weights = class_weights(classes, weight_by_index(parameters["class_weight"], names.tolist()))
    repeats, copies = repeat_groups(texts), _numbers(texts)
    groups = separable_groups(classes, repeats)
    n_apart = int(((np.bincount(repeats)[repeats] > 1) & (np.bincount(groups)[groups] == 1)).sum())
    if warn and n_apart > _TOLD_ABOVE * len(texts):
        warnings.warn(
            f"{n_apart} of {len(texts)} texts repeat others, but cannot be held out with them: "
            "the group is more than a fifth of all texts, or all texts of a class. Held-out "
            "accuracy and log loss are too optimistic, and so are choices based on them. Test on "
            "other texts.",
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
    """Return positions of texts that do not repeat each other, see ``distinct_texts``.

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
    """Return a number for each text, the same for equal ones."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(text, len(numbers)) for text in texts])
