"""Supervision of some texts, alone or as a part of all."""

import dataclasses

import numpy as np

from layerfuse.core.folds import separable_groups
from layerfuse.core.supervision import Supervision

LABELS = np.array([0, 1] * 10)
GROUPS = np.arange(20) // 2


def test_groups_that_cannot_be_held_out_are_split_when_it_is_made():
    groups = np.where(np.arange(20) < 8, 0, GROUPS)
    known = Supervision.of(LABELS, 3, groups=groups)
    np.testing.assert_array_equal(known.groups, separable_groups(LABELS, groups))
    assert len(np.unique(known.groups)) == 14
    assert known.random_state == 3
    np.testing.assert_array_equal(known.weights, np.ones(20))


def test_some_texts_alone_know_no_others_and_a_part_does():
    """Of six texts a group of two is more than a fifth; of all twenty it is not."""
    known = dataclasses.replace(
        Supervision.of(LABELS, 3, weights=np.arange(1.0, 21.0), groups=GROUPS),
        progress=True,
        copies=np.arange(20),
    )
    rows = np.array([4, 5, 8, 9, 12, 13])
    part, alone = known.part(rows), known.of_texts(rows)
    np.testing.assert_array_equal(part.groups, [2, 2, 4, 4, 6, 6])
    assert len(np.unique(alone.groups)) == 6
    for one in (part, alone):
        np.testing.assert_array_equal(one.labels, LABELS[rows])
        np.testing.assert_array_equal(one.weights, rows + 1.0)
        np.testing.assert_array_equal(one.copies, rows)
        assert (one.random_state, one.progress) == (3, True)
    none = Supervision.of(LABELS)
    assert none.part(rows).groups is None
    assert none.of_texts(rows).groups is None


def test_folds_hold_groups_and_weights_leave_out_the_only_text_of_a_class():
    known = Supervision.of(np.append(LABELS, 2), groups=np.append(GROUPS, 10))
    folds = known.folds()
    assert len(folds) == 5
    for train, rest in folds:
        assert not np.isin(known.groups[rest], known.groups[train]).any()
    np.testing.assert_array_equal(known.held_out_weights(), np.append(np.ones(20), 0))


def test_groups_of_some_texts_are_those_that_can_be_held_out_of_them():
    """Class 1 is in two groups of all texts, but in only one of the last texts."""
    known = Supervision(
        np.array([0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1]),
        np.ones(14),
        groups=np.array([0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10, 11, 11]),
        copies=np.arange(14),
    )
    some = known.of_texts(np.arange(5, 14))
    assert len(np.unique(some.groups)) == 9
    assert some.copies.tolist() == [*range(5, 14)]
    assert some.distinct().tolist() == [*range(9)]
    assert known.distinct().tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12]
