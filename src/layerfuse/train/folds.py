"""Cross-validation of a penalty: searched on one fold, judged on all."""

from collections.abc import Callable, Sequence

import numpy as np

from layerfuse.core.arrays import ClassIndices, PerText, Targets
from layerfuse.core.calibrate import held_out_log_loss
from layerfuse.core.folds import stratified_folds

FitAndPredict = Callable[[float, np.ndarray, np.ndarray], Targets]
"""(inverse penalty, training rows, held-out rows) to logits (held-out row, class)."""


def cross_validate(
    fit_and_predict: FitAndPredict,
    inverse_penalties: Sequence[float],
    labels: ClassIndices,
    weights: PerText,
    random_state: int,
) -> tuple[float, Targets]:
    """Choose a penalty and return logits that no label of its own text has touched.

    Every penalty is tried on the first fold, the one with the lowest log loss there on all others:
    neighbours on a grid of factors of four differ by less than folds do, and a full search costs
    more than twice as much.

    Parameters
    ----------
    fit_and_predict : FitAndPredict
        Fits the training rows and nothing else.
    inverse_penalties : sequence of float
        The grid, strongest penalty first.
    labels : int array of shape (text,)
        Class indices.
    weights : array of shape (text,)
        Weight of each text.
    random_state : int
        Draws the folds.

    Returns
    -------
    inverse_penalty : float
        The chosen one.
    logits : array of shape (text, class)
        Each text by the fit that did not see it.
    """
    (train, rest), *others = stratified_folds(labels, random_state)
    tried = [fit_and_predict(penalty, train, rest) for penalty in inverse_penalties]
    losses = [held_out_log_loss(logits, labels[rest], weights[rest]) for logits in tried]
    best = int(np.argmin(losses))
    held_out = np.empty((len(labels), tried[best].shape[1]))
    held_out[rest] = tried[best]
    for train, rest in others:
        held_out[rest] = fit_and_predict(inverse_penalties[best], train, rest)
    return inverse_penalties[best], held_out
