"""Columns of texts and lists of layers that a caller may have, and what is neither."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from layerfuse.core.errors import DataError, UnknownOptionError


@pytest.mark.unchecked
@pytest.mark.parametrize(
    "column",
    [
        iter,
        np.array,
        pd.Series,
        pa.array,
        lambda texts: pd.Series(texts, index=range(9, 9 + len(texts))),
    ],
    ids=["generator", "numpy", "pandas", "pyarrow", "pandas other index"],
)
def test_any_column_of_texts_is_embedded(bert, tiny, column):
    ref = bert.refs[-1]
    want = bert.embed(tiny.texts).row(ref)
    np.testing.assert_array_equal(bert.embed(column(tiny.texts)).row(ref), want)
    for positions, rows in bert.stream(column(tiny.texts)):
        np.testing.assert_allclose(rows[-1], want[positions], atol=1e-5)


@pytest.mark.unchecked
@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"text": ["a", "b"], "label": [1, 2]}),
        pa.table({"text": ["a", "b"]}),
        np.array([["a"], ["b"]]),
        {"a", "b"},
        {"text": ["a", "b"]},
        None,
        3,
    ],
    ids=lambda table: type(table).__name__,
)
def test_what_is_no_column_of_texts_is_refused(bert, table):
    """A table would be read as the names of its columns, and its other rows be uninitialised."""
    for embed_it in (bert.embed, bert.stream):
        with pytest.raises(DataError, match="of texts, got"):
            embed_it(table)


@pytest.mark.unchecked
@pytest.mark.parametrize("layers", [1, "1", [1.5], ["1"]])
def test_layers_other_than_integers_are_refused(bert, layers):
    with pytest.raises(UnknownOptionError, match=r"layers=.*expected a"):
        bert.embed(["a"], layers)


@pytest.mark.unchecked
@pytest.mark.parametrize("deepest", [1.0, "1", None])
def test_a_cut_at_other_than_an_integer_is_refused(bert, deepest):
    with pytest.raises(UnknownOptionError, match=r"deepest=.*expected an integer"):
        bert.cut(deepest)
