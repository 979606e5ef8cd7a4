"""Cross-validation with the search on the first fold, and fits in parallel."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from layerfuse.core.arrays import Targets
from layerfuse.core.calibrate import held_out_log_loss, likeliest_factor
from layerfuse.core.folds import FILTERS
from layerfuse.core.supervision import Supervision
from layerfuse.core.threads import product_threads, side_by_side

Setting = TypeVar("Setting")

FitAndPredict = Callable[[Setting, np.ndarray, np.ndarray], Targets]
"""Maps (setting, training rows, held-out rows) to logits (held-out row, class)."""


def cross_validate(
    fit_and_predict: FitAndPredict[Setting], settings: Sequence[Setting], supervision: Supervision
) -> tuple[Setting, Targets]:
    """Choose a setting and return out-of-fold logits.

    All settings are tried on the first fold; only the one with the lowest log loss there is fitted
    on the other folds. Settings that one fold cannot distinguish, such as penalties a factor of
    four apart, differ little, and a full search costs several times as much. Each setting is
    compared under its best temperature on that fold, because the final logits get one too.

    Parameters
    ----------
    fit_and_predict : FitAndPredict
        Fits on the training rows alone; called from several threads at once.
    settings : sequence
        Grid of penalties or other settings; the first of equally good ones is chosen.
    supervision : Supervision
        Labels, weights and groups of the texts. A group stays in one fold if ``stratified_folds``
        can hold it out.

    Returns
    -------
    setting
        The chosen setting.
    logits : array of shape (text, class)
        Logits of each text by the fit that did not see it, before any temperature.
    """
    (train, rest), *others = supervision.folds()
    tried = _fits(fit_and_predict, [(setting, train, rest) for setting in settings])
    first, weights = supervision.part(rest), supervision.held_out_weights()[rest]

    def loss(logits: Targets) -> float:
        factor = likeliest_factor(logits, first.labels, weights, first.groups)
        return held_out_log_loss(factor * logits, first.labels, weights)

    best = int(np.argmin([loss(logits) for logits in tried]))
    held_out = np.empty((len(supervision.labels), tried[best].shape[1]))
    held_out[rest] = tried[best]
    setting = settings[best]
    fits = _fits(fit_and_predict, [(setting, train, rest) for train, rest in others])
    for (_, rest), logits in zip(others, fits, strict=True):
        held_out[rest] = logits
    return setting, held_out


def _fits(
    fit_and_predict: FitAndPredict[Setting],
    works: Sequence[tuple[Setting, np.ndarray, np.ndarray]],
) -> list[Targets]:
    with _QUIET:  # around all fits, because warning filters belong to the whole process
        return side_by_side(lambda work: fit_and_predict(*work), works)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Run products on one thread and silence warnings, as the fits of the folds do."""
    with product_threads(1), _QUIET:
        yield


class _Quiet:
    """Silences warnings of fits while any thread is inside, and then restores the filters.

    Fits with the weakest penalties may stop before they converge; validation then judges the result
    as it is. If many classes have one or two texts, scikit-learn guesses that labels are numbers.
    """

    def __init__(self) -> None:
        self._n_inside, self._caught = 0, ExitStack()

    def __enter__(self) -> None:
        with FILTERS:
            if not self._n_inside:
                self._caught.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore", ConvergenceWarning)
                warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
            self._n_inside += 1

    def __exit__(self, *_: object) -> None:
        with FILTERS:
            self._n_inside -= 1
            if not self._n_inside:  # the last thread to leave, which need not have come first
                self._caught.close()


_QUIET = _Quiet()
