"""Folds in which every class is there, for all that is judged by texts it did not see."""

import warnings
from threading import Lock

import numpy as np
from sklearn.model_selection import StratifiedKFold

from layerfuse.core.arrays import ClassIndices, PerText

N_FOLDS = 5

# Filters of warnings are the whole process's: of two threads that change them at once the last
# would restore the first's.
FILTERS = Lock()
"""Held while ``fit`` changes or restores filters of warnings."""


def stratified_folds(
    labels: ClassIndices, random_state: int, groups: np.ndarray | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return stratified folds that never leave a class of two texts or more out of training.

    Parameters
    ----------
    labels : int array of shape (text,)
        Class indices.
    random_state : int
        Draws the folds.
    groups : int array of shape (text,), optional
        Texts of one group stay in one fold, but for those that folds cannot hold together: as in
        ``separable_groups``, and texts of a class that some training would lack.

    Returns
    -------
    list of (training rows, held-out rows)
        At most five; as many as the most frequent class has texts, or groups, if these are fewer.
    """
    if groups is None:
        return _split(labels, np.arange(len(labels)), random_state)
    members = separable_groups(labels, groups)
    counts = np.bincount(labels)
    while True:
        folds = _split(labels, members, random_state)
        known = np.min([np.bincount(labels[t], minlength=len(counts)) for t, _ in folds], axis=0)
        lacking = (counts > 1) & (known == 0)
        if not lacking.any():
            return folds
        members = _taken_apart(members, lacking[labels])


def separable_groups(labels: ClassIndices, groups: np.ndarray) -> np.ndarray:
    """Return groups that can be held out as a whole.

    Parameters
    ----------
    labels : int array of shape (text,)
        Class indices.
    groups : int array of shape (text,)
        Texts that belong together.

    Returns
    -------
    int array of shape (text,)
        The same groups, numbered from 0; but each text is one of its own where a group has more
        than a fifth of all texts, or where its class stands in no other group.
    """
    groups_of_class = np.bincount(np.unique(np.stack([labels, groups]), axis=1)[0])
    apart = np.bincount(groups)[groups] > len(labels) / N_FOLDS
    return _taken_apart(groups, apart | (groups_of_class[labels] == 1))


def class_of_each_group(labels: ClassIndices, groups: np.ndarray) -> np.ndarray:
    """Return one class for each group, by which groups are drawn like texts.

    Parameters
    ----------
    labels : int array of shape (text,)
        Class indices.
    groups : int array of shape (text,)
        Groups of texts, numbered from 0.

    Returns
    -------
    int array of shape (group,)
        The rarest of its classes, which must not be missed for a frequent one's sake.
    """
    by_rarity = np.argsort(np.bincount(labels), kind="stable")
    rarest = np.full(groups.max() + 1, len(by_rarity))
    np.minimum.at(rarest, groups, np.argsort(by_rarity)[labels])
    return np.asarray(by_rarity[rarest])


def held_out_weights(labels: ClassIndices, weights: PerText | None = None) -> PerText:
    """Return what each held-out text counts when fits are judged by it.

    The only text of its class counts nothing: whatever did not see it cannot know the class, so
    that its loss tells nothing of the fit and, being huge, would hide what all others tell.

    Parameters
    ----------
    labels : int array of shape (text,)
        Class indices of all texts.
    weights : array of shape (text,), optional
        Weight of each text. Default: all equal.

    Returns
    -------
    array of shape (text,)
        The weights, 0 for such texts; as they are where no class has two texts.
    """
    weights = np.ones(len(labels)) if weights is None else weights
    told = np.bincount(labels)[labels] > 1
    return np.where(told, weights, 0.0) if told.any() else weights


def _taken_apart(groups: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """Return the groups, numbered from 0, with some texts as groups of their own."""
    alone = groups.max() + 1 + np.arange(len(groups))
    return np.unique(np.where(apart, alone, groups), return_inverse=True)[1]


def _split(
    labels: ClassIndices, members: np.ndarray, random_state: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return stratified folds of groups, which are numbered from 0."""
    units = class_of_each_group(labels, members)
    n_folds = min(N_FOLDS, int(np.bincount(units).max()))
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=random_state)
    with FILTERS, warnings.catch_warnings():
        # A class with fewer texts than folds stands in some of them only; that is fine here, while
        # fewer folds for the rarest class would validate all others on half of their texts.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        parts = [rest for _, rest in folds.split(np.zeros(len(units)), units)]
    held_out = [np.isin(members, part) for part in parts]
    return [(np.flatnonzero(~rest), np.flatnonzero(rest)) for rest in held_out]
