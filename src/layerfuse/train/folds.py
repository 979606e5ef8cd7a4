"""Cross-validation of a setting: searched on one fold, judged on all, fits side by side."""

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
"""(setting, training rows, held-out rows) to logits (held-out row, class)."""


def cross_validate(
    fit_and_predict: FitAndPredict[Setting], settings: Sequence[Setting], supervision: Supervision
) -> tuple[Setting, Targets]:
    """Choose a setting and return logits that no label of its own text has touched.

    Every setting is tried on the first fold, the one with the lowest log loss there on all others:
    settings that one fold cannot tell apart, such as penalties a factor of four apart, differ
    little, and a full search costs several times as much. Each is judged under the temperature that
    is best for it there, since the logits of the one chosen get one too.

    Parameters
    ----------
    fit_and_predict : FitAndPredict
        Fits the training rows and nothing else; called from several threads at once.
    settings : sequence
        The grid, penalties or what else a fit depends on; of equals the first is taken.
    supervision : Supervision
        Of the texts; those of one group stay in one fold, where ``stratified_folds`` can hold them
        so.

    Returns
    -------
    setting
        The chosen one.
    logits : array of shape (text, class)
        Each text by the fit that did not see it, without a temperature.
    """
    (train, rest), *others = supervision.folds()
    tried = _fits(fit_and_predict, [(setting, train, rest) for setting in settings])
    judged, counted = supervision.part(rest), supervision.held_out_weights()[rest]

    def loss(logits: Targets) -> float:
        factor = likeliest_factor(logits, judged.labels, counted, judged.groups)
        return held_out_log_loss(factor * logits, judged.labels, counted)

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
    with _QUIET:  # around all fits: within threads it cannot be
        return side_by_side(lambda work: fit_and_predict(*work), works)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let products run on one thread, as in the fits of the folds, and fits say as little."""
    with product_threads(1), _QUIET:
        yield


class _Quiet:
    """No word of fits while any thread is inside, and filters as they were when none is.

    The weakest penalties may stop early; validation then judges what came out, as it should. And
    classes of one text or two are classes, though scikit-learn guesses that they are numbers.
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
            if not self._n_inside:  # whoever is last, be it not the first
                self._caught.close()


_QUIET = _Quiet()
