"""cross_validate: every text by a fit that did not see it, on threads that are given back."""

import threading
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_info, threadpool_limits

from layerfuse.core.supervision import Supervision
from layerfuse.train.folds import cross_validate, one_thread_each

LABELS = np.array([0, 1] * 20)
KNOWN = Supervision.of(LABELS)


def blas_threads():
    return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]


@pytest.fixture(autouse=True)
def two_threads():
    with threadpool_limits(2, user_api="blas"):
        yield


def test_held_out_logits_are_of_fits_that_saw_the_other_texts_alone():
    """A fit that answers with the rows it was given shows which one answered for which text."""
    seen = {}

    def fit(penalty, train, rest):
        seen.update({text: set(train.tolist()) for text in rest.tolist()})
        # The second penalty is right of its first fold, the first one wrong.
        sure = np.where(LABELS[rest] == 1, 1.0, -1.0) * (1 if penalty == 4.0 else -1)
        return np.stack([-sure, sure + rest / 1000], axis=1)

    penalty, logits = cross_validate(fit, (1.0, 4.0), KNOWN)
    assert penalty == 4.0
    assert seen.keys() == set(range(40))
    assert all(text not in train for text, train in seen.items())
    sure = np.where(LABELS == 1, 1.0, -1.0)
    np.testing.assert_allclose(logits[:, 1], sure + np.arange(40) / 1000)


def test_fits_run_side_by_side_with_products_on_one_thread():
    both = threading.Barrier(2, timeout=20)
    inside = []

    def fit(penalty, train, rest):
        both.wait()  # breaks unless two fits are under way
        inside.extend(blas_threads())
        return np.zeros((len(rest), 2))

    before = blas_threads()
    cross_validate(fit, (1.0, 4.0), KNOWN)
    assert set(inside) == {1}
    assert blas_threads() == before
    assert set(before) == {2}


def test_a_fit_that_fails_gives_threads_and_warnings_back():
    def fit(penalty, train, rest):
        raise ZeroDivisionError

    before, filters = blas_threads(), list(warnings.filters)
    with pytest.raises(ZeroDivisionError):
        cross_validate(fit, (1.0, 4.0), KNOWN)
    assert blas_threads() == before
    assert warnings.filters == filters


def test_overlapping_fits_silence_warnings_and_restore_the_filters():
    """The first thread to enter leaves first; the other must not restore silenced filters."""
    filters = list(warnings.filters)
    begun, ended = threading.Event(), threading.Event()
    heard = []

    def first():
        with one_thread_each():
            begun.set()
            second_in.wait(20)
        ended.set()

    second_in = threading.Event()
    thread = threading.Thread(target=first)
    thread.start()
    begun.wait(20)
    with one_thread_each():
        second_in.set()
        ended.wait(20)
        with warnings.catch_warnings(record=True) as heard:
            warnings.warn("too few", ConvergenceWarning, stacklevel=1)
    thread.join(20)
    assert heard == []
    assert warnings.filters == filters


def test_texts_of_one_group_are_held_out_by_one_fold():
    groups = np.arange(40) // 4

    def fit(penalty, train, rest):
        assert not np.isin(groups[rest], groups[train]).any()
        return np.zeros((len(rest), 2))

    cross_validate(fit, (1.0, 4.0), Supervision.of(LABELS, groups=groups))


def test_settings_are_compared_under_their_best_temperatures():
    """One setting is always correct with low confidence, the other wrong in one text of five."""

    def fit(setting, train, rest):
        sign = np.where(LABELS[rest] == 1, 1.0, -1.0)
        sure = sign / 100 if setting == "right" else np.where(rest % 5 == 0, -sign, sign)
        return np.stack([-sure, sure], axis=1)

    chosen, logits = cross_validate(fit, ("loud", "right"), KNOWN)
    assert chosen == "right"
    assert np.abs(logits).max() == 0.01  # returned without a temperature


def test_texts_of_classes_with_one_text_in_the_fold_count_in_its_temperature():
    """One setting always predicts the common class, the other predicts nothing.

    With a temperature fitted on the common class alone, the first would look worse.
    """
    labels = np.concatenate([np.zeros(20, int), np.arange(20) % 4 + 1])

    def fit(setting, train, rest):
        logits = np.zeros((len(rest), 5))
        logits[:, 0] = setting == "common"
        return logits

    chosen, _ = cross_validate(fit, ("nothing", "common"), Supervision.of(labels))
    assert chosen == "common"
