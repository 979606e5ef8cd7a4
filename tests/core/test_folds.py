"""Stratified folds: every class in training, groups in one fold where a fold can hold them."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from layerfuse.core.folds import separable_groups, stratified_folds


def check(folds, labels):
    """Each text is held out in exactly one fold; every training set has each class of two texts."""
    held_out = np.concatenate([rest for _, rest in folds])
    np.testing.assert_array_equal(np.sort(held_out), np.arange(len(labels)))
    for train, rest in folds:
        np.testing.assert_array_equal(np.sort([*train, *rest]), np.arange(len(labels)))
        lone = np.flatnonzero(np.bincount(labels) < 2)
        assert np.isin(np.setdiff1d(labels, lone), labels[train]).all()


def together(folds, members):
    """Return whether these texts are held out by one fold."""
    return any(np.isin(members, rest).all() for _, rest in folds)


def test_folds_without_groups_are_those_of_scikit_learn():
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [50, 30, 7]))
    expected = StratifiedKFold(5, shuffle=True, random_state=3).split(labels[:, None], labels)
    alone = stratified_folds(labels, 3, np.arange(len(labels)))
    for given in (stratified_folds(labels, 3), alone):
        for (train, rest), (other_train, other_rest) in zip(given, expected, strict=False):
            np.testing.assert_array_equal(train, other_train)
            np.testing.assert_array_equal(rest, other_rest)


@pytest.mark.parametrize("seed", range(20))
def test_groups_stay_in_one_fold_and_classes_in_all_trainings(seed):
    rng = np.random.default_rng(seed)
    labels = np.unique(
        rng.choice(8, 120, p=[0.4, 0.3, 0.1, 0.1, 0.04, 0.03, 0.02, 0.01]), return_inverse=True
    )[1]
    groups = rng.integers(60, size=120)
    folds = stratified_folds(labels, seed, groups)
    check(folds, labels)
    frequent = np.bincount(labels)[labels] > 20  # what no training could lack
    for group in np.unique(groups):
        assert together(folds, np.flatnonzero((groups == group) & frequent))


def test_a_class_whose_groups_are_all_shared_with_rarer_ones_is_learnt():
    """Each of the last two groups is stratified by another class than 4 or 5."""
    labels = np.array([0, 1] * 45 + [2, 5, 2, 3, 3, 4, 5, 4])
    groups = np.append(np.arange(90), [90, 90, 91, 92, 93, 92, 92, 93])
    for seed in range(100):
        check(stratified_folds(labels, seed, groups), labels)


@pytest.mark.parametrize("seed", range(30))
def test_classes_of_few_texts_in_groups_of_any_labels_are_learnt(seed):
    rng = np.random.default_rng(seed)
    labels = np.unique(rng.geometric(0.1, 80), return_inverse=True)[1]
    check(stratified_folds(labels, seed, rng.integers(25, size=80)), labels)


def test_shares_of_classes_stay_even():
    labels = np.repeat([0, 1], [800, 200])
    groups = np.arange(1000) // 4
    shares = [labels[rest].mean() for _, rest in stratified_folds(labels, 0, groups)]
    np.testing.assert_allclose(shares, 0.2, atol=0.01)


def test_a_class_of_one_group_is_learnt_all_the_same():
    labels = np.array([0] * 20 + [1] * 20 + [2, 2])
    groups = np.append(np.arange(40), [40, 40])
    check(stratified_folds(labels, 0, groups), labels)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_a_group_larger_than_a_fold_is_split(share):
    labels = np.arange(100) % 2
    groups = np.where(np.arange(100) < 100 * share, 0, np.arange(100))
    folds = stratified_folds(labels, 0, groups)
    check(folds, labels)
    assert len(folds) == 5
    assert [len(rest) for _, rest in folds] == [20] * 5


def test_threads_that_draw_folds_at_once_leave_the_filters_of_warnings_alone():
    labels = np.repeat([0, 1, 2], [200, 150, 3])  # the last is the least populated class
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        with ThreadPoolExecutor(4) as threads:
            drawn = list(threads.map(lambda seed: stratified_folds(labels, seed), range(40)))
        assert list(warnings.filters) == before
    assert {len(folds) for folds in drawn} == {5}


def test_groups_that_cannot_be_held_out_are_split():
    labels = np.array([0, 1] * 10 + [2, 2, 2] + [3, 3])
    groups = np.array([7] * 6 + [3, 3] + list(range(10, 22)) + [4, 4, 4] + [5, 6])
    separable = separable_groups(labels, groups)

    def members(text):
        return np.flatnonzero(separable == separable[text]).tolist()

    assert members(6) == [6, 7]
    assert [members(i) for i in range(6)] == [[i] for i in range(6)]  # more than a fifth of 25
    assert [members(i) for i in (20, 21, 22)] == [[20], [21], [22]]  # all of class 2
    assert members(23) == [23]
    assert separable.max() + 1 == len(set(separable.tolist()))
