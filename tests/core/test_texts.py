"""Texts and labels from any common container."""

import itertools
import tracemalloc

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from layerfuse.core.errors import DataError
from layerfuse.core.texts import as_list, as_stream, as_texts

WORDS = ["one", "", "drei 🐢"]


class MapStyle:
    """A data set of torch, which has no ``__iter__``."""

    def __init__(self, words):
        self.words = words

    def __len__(self):
        return len(self.words)

    def __getitem__(self, position):
        return self.words[position]


CONTAINERS = {
    "list": list,
    "tuple": tuple,
    "generator": iter,
    "dict keys": lambda words: dict.fromkeys(words).keys(),
    "numpy U": np.array,
    "numpy object": lambda words: np.array(words, dtype=object),
    "only __getitem__": MapStyle,
    "pandas": pd.Series,
    "pandas object": lambda words: pd.Series(words, dtype=object),
    "pandas category": lambda words: pd.Series(words, dtype="category"),
    "pandas other index": lambda words: pd.Series(words, index=[7, 3, 5]),
    "pandas Index": pd.Index,
    "pyarrow": pa.array,
    "pyarrow chunked": lambda words: pa.chunked_array([words[:1], words[1:]]),
    "pyarrow dictionary": lambda words: pa.array(words).dictionary_encode(),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_texts_come_out_in_order_as_str(container):
    texts = as_texts(CONTAINERS[container](WORDS))
    assert texts == WORDS
    assert all(type(text) is str for text in texts)


@pytest.mark.parametrize(
    ("labels", "plain"),
    [
        (np.array([3, 1]), [3, 1]),
        (np.array([True, False]), [True, False]),
        (pd.Series([3, 1]), [3, 1]),
        (pa.array([3, 1]), [3, 1]),
        (pa.chunked_array([[3], [1]]), [3, 1]),
        ((3, "a"), [3, "a"]),
    ],
)
def test_labels_become_plain_python_objects(labels, plain):
    got = as_list(labels, "labels")
    assert got == plain
    assert [type(label) for label in got] == [type(label) for label in plain]


@pytest.mark.parametrize("values", [{"a", "b"}, frozenset("ab"), {"a": 1, "b": 2}])
def test_what_has_no_order_of_its_own_is_refused(values):
    with pytest.raises(DataError, match="is not a column"):
        as_list(values, "texts")


def test_a_list_is_copied():
    labels = [1, 2]
    as_list(labels, "labels").append(3)
    assert labels == [1, 2]


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("one text", r"one string\. Put it in a list: \[text\]"),
        (b"x", r"bytes.*\[text\.decode\(\)\]"),
    ],
)
@pytest.mark.parametrize("read", [as_texts, as_stream, lambda text: as_list(text, "texts")])
def test_one_bare_string_is_refused(text, remedy, read):
    with pytest.raises(DataError, match=f"list of texts, got {remedy}"):
        read(text)


@pytest.mark.parametrize(
    ("texts", "remedy"),
    [
        ([b"a"], r"text\.decode\(\)\.$"),
        ([["a", "b"]], r"' '\.join\(tokens\)\.$"),
        ([np.array(["a", "b"])], r"' '\.join\(tokens\)\.$"),
        ([{"text": "a"}], r"\[row\['text'\] for row in rows\]\.$"),
        ([None], r"Drop these rows or fill them with an empty string\.$"),
        ([3.5 * 10**300, ["long"] * 1000], "(?s)^.{,200}$"),
    ],
)
def test_the_remedy_is_that_of_the_mistake(texts, remedy):
    with pytest.raises(DataError, match=remedy):
        as_texts(texts)


@pytest.mark.parametrize(
    ("marked", "remedy"),
    [
        (np.eye(2), r"with \[:, 0\]; or argmax\(axis=1\), if each column marks a class\.$"),
        (pd.get_dummies(["a", "b"]), r"with \['a'\]; or idxmax\(axis=1\), if each column marks"),
        (np.ones((2, 1)), r"with \[:, 0\]\.$"),
    ],
)
def test_labels_marked_in_columns_are_not_reduced_to_the_first_class(marked, remedy):
    with pytest.raises(DataError, match=remedy):
        as_list(marked, "labels")


def test_a_stream_is_not_read_before_it_is_needed():
    endless = itertools.count()
    assert as_stream(endless) is endless
    assert next(endless) == 0
    assert list(as_stream(pa.array(WORDS))) == WORDS


@pytest.mark.parametrize(
    ("table", "shape"),
    [
        (np.array([["a", "b"]]), r"\(1, 2\)\. Take a column of it, as with \[:, 0\]"),
        (np.array("a"), r"\(\)\.$"),
        (pd.DataFrame({"a": ["x"]}), r"\(1, 1\)\. Take a column of it, as with \['a'\]"),
        (pd.DataFrame({3: ["x"]}), r"\(1, 1\)\. Take a column of it, as with \[3\]"),
        (pa.table({"a": ["x", "y"]}), r"\(2, 1\)\. Take a column of it, as with \['a'\]"),
    ],
)
def test_other_than_one_dimension_is_refused(table, shape):
    with pytest.raises(DataError, match=f"one column of texts, got .* of shape {shape}"):
        as_texts(table)


@pytest.mark.parametrize("nothing", [None, 3])
def test_what_is_no_collection_is_refused(nothing):
    with pytest.raises(DataError, match=f"list of labels, got {type(nothing).__name__}"):
        as_list(nothing, "labels")


class LazyTable:
    """A stand-in for LazyFrame of polars, which is not installed."""

    def __getitem__(self, item):
        raise TypeError("not subscriptable (aside from slicing)")

    def collect(self):
        raise AssertionError("left to the user")


@pytest.mark.parametrize("read", [as_texts, as_stream])
def test_a_lazy_table_is_to_be_collected(read):
    with pytest.raises(DataError, match=r"got LazyTable\. Collect it and take a column"):
        read(LazyTable())


@pytest.mark.parametrize("read", [as_texts, as_stream])
def test_a_stream_that_can_be_collected_is_read(read):
    """As the pipelines of some libraries for iterators."""

    class Pipeline(list):
        def collect(self):
            return list(self)

    assert list(read(Pipeline(["a", "b"]))) == ["a", "b"]


@pytest.mark.parametrize("empty", [[], (), np.array([], dtype=str), pd.Series([], dtype=str)])
def test_no_text_is_refused(empty):
    with pytest.raises(DataError, match="at least one text"):
        as_texts(empty)


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        (["a", None], "1 of 2 are not: row 2 is None"),
        (["a", 3, "b", 4.5], "2 of 4 are not: row 2 is 3, row 4 is 4.5"),
        (pd.Series(["a", np.nan], dtype=object), "1 of 2 are not: row 2 is nan"),
        (pd.Series(["a", None], dtype=object), "1 of 2 are not: row 2 is None"),
        (pd.Series([None, "a"]), "1 of 2 are not: row 1 is nan"),
        (pd.Series(["a", None], dtype="string"), "1 of 2 are not: row 2 is <NA>"),
        (pa.array([None, "a"]), "1 of 2 are not: row 1 is None"),
        (np.array([b"a"]), "1 of 1 are not: row 1 is b'a'"),
    ],
)
def test_what_is_no_text_is_shown_with_its_row(texts, shown):
    with pytest.raises(DataError, match=shown):
        as_texts(texts)


def test_at_most_three_wrong_rows_are_shown():
    with pytest.raises(DataError, match=r"9 of 9 are not: row 1 is 1, row 2 is 2, row 3 is 3\. "):
        as_texts(range(1, 10))


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_stream_gives_the_texts_of_a_column(container):
    assert list(as_stream(CONTAINERS[container](WORDS))) == WORDS


def test_a_pyarrow_column_is_not_converted_as_a_whole():
    """One that is mapped from a file may be larger than memory."""
    column = pa.chunked_array([list(map(str, range(9000))), ["last"]])
    tracemalloc.start()
    first = next(iter(as_stream(pa.array(["x" * 100] * 500_000))))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert first == "x" * 100
    assert peak < 5e6
    assert list(as_stream(column)) == column.to_pylist()
