"""Folds in which every class is there, for all that is judged by texts it did not see."""

import warnings

import numpy as np
from sklearn.model_selection import StratifiedKFold

from layerfuse.core.arrays import ClassIndices

N_FOLDS = 5


def stratified_folds(
    labels: ClassIndices, random_state: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return stratified folds that never leave a class of two texts or more out of training."""
    n_folds = min(N_FOLDS, int(np.bincount(labels).max()))
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=random_state)
    with warnings.catch_warnings():
        # A class with fewer texts than folds stands in some of them only; that is fine here, while
        # fewer folds for the rarest class would validate all others on half of their texts.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        return list(folds.split(np.zeros(len(labels)), labels))
