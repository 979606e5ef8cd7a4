"""Labels that a classifier can be trained on, and all that are not."""

from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd
import pytest

from layerfuse.core.errors import LabelError
from layerfuse.data import check_labels, index_labels


class Mood(Enum):
    CALM = 1
    LOUD = 2


GOOD = [["a", "b", "a", "b"], [0, 1, 0, 1], [True, False, True, False]]


@pytest.mark.parametrize("labels", GOOD)
@pytest.mark.parametrize(
    "make",
    [
        list,
        tuple,
        iter,
        np.array,
        lambda x: np.array(x, object),
        lambda x: list(np.array(x)),
        lambda x: list(map(np.array, x)),  # as tensors of one number
    ],
)
def test_good_labels(make: Callable[[Any], Any], labels: Any) -> None:
    check_labels(make(labels))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "expected labels, got none"),
        (["a", "a"], "at least two classes, but all 2 rows have label 'a'"),
        (["a", "b", "a", "c"], r"two texts or more, but 'a' has 2, 'b' has 1, 'c' has 1\."),
        (["a", None, "b", None], r"missing in 2 of 4 data rows: 2, 4\."),
        (np.array([1.0, np.nan, 0.0]), r"missing in 1 of 3 data rows: 2\."),
        (pd.Series(["a", "b", pd.NA], dtype="string"), r"missing in 1 of 3 data rows: 3\."),
        ([0, float("nan"), 1], r"missing in 1 of 3 data rows: 2\."),
        (["a", " ", "b"], r"missing in 1 of 3 data rows: 2\."),
        ([None] * 9, r"missing in 9 of 9 data rows: 1, 2, 3, 4, 5 and 4 more\."),
        ([1.0, 0.0, 1.0, 0.0], r"all bool, got float \(data row 1\)\. .*use astype\(int\)"),
        ([1.0, 0.5, 1.0, 0.5], r"all bool, got float \(data row 1\)\.$"),
        (["a", "b", 1, "a"], r"got str \(data row 1\) and int \(data row 3\)"),
        (
            [b"a", b"b", b"a"],
            r"got bytes \(data row 1\)\. Decode them, as with label\.decode\(\)\.",
        ),
        ([[0, 1], [1, 0]], r"got list \(data row 1\)\. .*as with numpy\.argmax\(rows, axis=1\)\."),
        (list(Mood), r"got Mood \(data row 1\)\. Take their values, as with label\.value\."),
        ([1, 0, True, False], r"got int \(data row 1\) and bool \(data row 3\)"),
        ([[1, 0], [0, 1]], r"got list \(data row 1\)"),
        (np.eye(2), r"array of shape \(2, 2\)"),
    ],
)
def test_bad_labels(labels: Any, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        check_labels(labels)


def test_tensors_of_a_library_without_item_are_refused_by_their_type() -> None:
    class EagerTensor:
        """As TensorFlow's, of one number."""

        shape = ()

    with pytest.raises(LabelError, match="got EagerTensor"):
        check_labels([EagerTensor(), EagerTensor()])


def test_a_class_may_have_one_text_beside_two_that_have_more() -> None:
    check_labels(["a", "b", "a", "c", "b"])


def test_labels_are_indexed_in_order_as_they_came() -> None:
    names, classes = index_labels(["b", "a", "b", "c"])
    assert names.tolist() == ["a", "b", "c"]
    assert classes.tolist() == [1, 0, 1, 2]
    assert index_labels([True, False])[0].tolist() == [False, True]


def test_a_label_as_long_as_a_text_is_refused() -> None:
    assert index_labels(["a" * 500, "b"])[1].tolist() == [0, 1]
    with pytest.raises(LabelError, match=r"data row 2 has 2000000 char.*label_column="):
        index_labels(["a", "word " * 400_000, *["a"] * 3000])


@pytest.mark.parametrize(
    "labels",
    [[2**63 + 1, -1], [-1, 2**63], [1, 2**70], [-(2**63) - 1, 0], ["a", "a\0"], ["a", "\ud800"]],
)
def test_labels_that_an_array_would_change_are_refused(labels: Any) -> None:
    with pytest.raises(LabelError, match="an array cannot hold"):
        index_labels(labels)


def test_a_label_that_an_array_would_change_is_shown_once() -> None:
    with pytest.raises(LabelError, match=r"an array cannot hold 'a\\x00'\. Use"):
        index_labels(["a\0", "b"] * 9)
