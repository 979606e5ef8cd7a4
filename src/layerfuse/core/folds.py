"""Stratified folds for cross-validation, with every class in training."""

import warnings
from threading import Lock

import numpy as np
from sklearn.model_selection import StratifiedKFold

from layerfuse.core.arrays import ClassIndices, PerText

N_FOLDS = 5

# Warning filters hold for the whole process. If two threads change them at once, the one that ends
# last would restore the filters of the other.
FILTERS = Lock()
"""Held while ``fit`` changes or restores warning filters."""


def stratified_folds(
    labels: ClassIndices, random_state: int, groups: np.ndarray | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return stratified folds that never leave a class of two texts or more out of training.

    Parameters
    ----------
    labels : int array of shape (text,)
        Class indices.
    random_state : int
        Seed of the folds.
    groups : int array of shape (text,), optional
        The texts of a group share a fold. Exceptions are groups that ``separable_groups`` splits,
        and the texts of a class that would otherwise be missing from training in some fold.

    Returns
    -------
    list of (training rows, held-out rows)
        Five folds, or fewer if the most frequent class has fewer texts or groups.
    """
    if groups is None:
        return _split(labels, np.arange(len(labels)), random_state)
    members = separable_groups(labels, groups)
    counts = np.bincount(labels)
    while True:
        folds = _split(labels, members, random_state)
        fewest = np.min([np.bincount(labels[t], minlength=len(counts)) for t, _ in folds], axis=0)
        missing = (counts > 1) & (fewest == 0)
        if not missing.any():
            return folds
        members = _split_groups(members, missing[labels])


def separable_groups(labels: ClassIndices, groups: np.ndarray) -> np.ndarray:
    """Return groups that can each be held out as a whole.

    Parameters
    ----------
    labels : int array of shape (text,)
        Class indices.
    groups : int array of shape (text,)
        Group of each text.

    Returns
    -------
    int array of shape (text,)
        The same groups, numbered from 0. A text becomes its own group if its group has more than a
        fifth of all texts, or if no other group has its class.
    """
    groups_of_class = np.bincount(np.unique(np.stack([labels, groups]), axis=1)[0])
    too_large = np.bincount(groups)[groups] > len(labels) / N_FOLDS
    return _split_groups(groups, too_large | (groups_of_class[labels] == 1))


def class_of_each_group(labels: ClassIndices, groups: np.ndarray) -> np.ndarray:
    """Return one class for each group, by which groups are stratified like texts.

    Parameters
    ----------
    labels : int array of shape (text,)
        Class indices.
    groups : int array of shape (text,)
        Groups of texts, numbered from 0.

    Returns
    -------
    int array of shape (group,)
        The rarest of the group's classes, because rare classes are the easiest to lose.
    """
    by_rarity = np.argsort(np.bincount(labels), kind="stable")
    rarest = np.full(groups.max() + 1, len(by_rarity))
    np.minimum.at(rarest, groups, np.argsort(by_rarity)[labels])
    return np.asarray(by_rarity[rarest])


def held_out_weights(labels: ClassIndices, weights: PerText | None = None) -> PerText:
    """Return the weights of texts in held-out losses.

    The only text of a class gets weight 0. A fit that did not see it cannot know the class, so its
    loss says nothing about the fit, but is so large that it would hide the losses of all others.

    Parameters
    ----------
    labels : int array of shape (text,)
        Class indices of all texts.
    weights : array of shape (text,), optional
        Weight of each text. Default: all equal.

    Returns
    -------
    array of shape (text,)
        The weights, 0 for such texts; unchanged if no class has two texts.
    """
    weights = np.ones(len(labels)) if weights is None else weights
    counted = np.bincount(labels)[labels] > 1
    return np.where(counted, weights, 0.0) if counted.any() else weights


def _split_groups(groups: np.ndarray, single: np.ndarray) -> np.ndarray:
    """Return the groups, numbered from 0, with each text marked ``single`` as its own group."""
    own_group = groups.max() + 1 + np.arange(len(groups))
    return np.unique(np.where(single, own_group, groups), return_inverse=True)[1]


def _split(
    labels: ClassIndices, members: np.ndarray, random_state: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return stratified folds of groups, which are numbered from 0."""
    units = class_of_each_group(labels, members)
    n_folds = min(N_FOLDS, int(np.bincount(units).max()))
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=random_state)
    with FILTERS, warnings.catch_warnings():
        # A class with fewer texts than folds is held out in only some folds. That is better than
        # fewer folds, which would train on half of the texts of all other classes.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        parts = [part for _, part in folds.split(np.zeros(len(units)), units)]
    held_out = [np.isin(members, part) for part in parts]
    return [(np.flatnonzero(~mask), np.flatnonzero(mask)) for mask in held_out]
