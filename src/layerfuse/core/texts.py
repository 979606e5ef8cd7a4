"""Converts texts and labels from any common container to plain lists."""

import reprlib
from collections.abc import Iterable, Mapping
from typing import Any

from layerfuse.core.errors import DataError

_SHOWN = 3
_WINDOW = 4096  # texts of a pyarrow column, which may be larger than memory, converted together


def as_list(values: Any, what: str) -> list[Any]:
    """Return the values of a list, array, pandas or pyarrow column as plain Python objects.

    Parameters
    ----------
    values : list, tuple, iterable, NumPy array, pandas Series, pyarrow Array
        One-dimensional.
    what : str
        Name for messages: ``texts`` or ``labels``.

    Returns
    -------
    list
        In the same order.

    Raises
    ------
    DataError
        If it is a single string, a mapping or a set, is not iterable, or is not one-dimensional.
    """
    _check_column(values, what)
    for convert in ("to_pylist", "tolist"):  # pyarrow; NumPy and pandas
        if hasattr(values, convert):
            converted: list[Any] = getattr(values, convert)()
            return converted
    return list(values)


def as_stream(values: Any) -> Iterable[Any]:
    """Return texts to be read one after the other, which may have no end.

    Parameters
    ----------
    values : iterable, NumPy array, pandas Series, pyarrow Array
        Texts, none of which is read here. Those of pyarrow become strings a window at a time.

    Raises
    ------
    DataError
        As from ``as_list``. A table would be read as the names of its columns, a mapping as its
        keys, and a set in no order.
    """
    _check_column(values, "texts")
    if hasattr(values, "to_pylist"):
        starts = range(0, len(values), _WINDOW)
        return (text for start in starts for text in values[start : start + _WINDOW].to_pylist())
    return values if isinstance(values, Iterable) else iter(values)


def _check_column(values: Any, what: str) -> None:
    if isinstance(values, str | bytes):
        got = "one string. Put it in a list" if isinstance(values, str) else "bytes. Decode them"
        one = what[:-1] if isinstance(values, str) else f"{what[:-1]}.decode()"
        raise DataError(f"Expected a list of {what}, got {got}: [{one}].")
    if isinstance(values, Mapping | set | frozenset):
        raise DataError(
            f"Expected a list of {what}, got {type(values).__name__}, which is not a column."
        )
    shape = getattr(values, "shape", None)
    if shape is not None and len(shape) != 1:
        raise DataError(
            f"Expected one column of {what}, got {type(values).__name__} of shape {tuple(shape)}."
            f"{_column_of(values, what)}"
        )
    if isinstance(values, Iterable):
        return
    lazy = hasattr(values, "collect")  # as LazyFrame of polars, whose __getitem__ only slices
    # Data sets of torch are sequences that have only __getitem__.
    if lazy or not hasattr(values, "__getitem__"):
        hint = " Collect it and take a column of the result." if lazy else ""
        raise DataError(f"Expected a list of {what}, got {type(values).__name__}.{hint}")


def _column_of(table: Any, what: str) -> str:
    """Return how to take a column of a table, and the labels of one that marks the classes."""
    names = getattr(table, "column_names", getattr(table, "columns", None))  # pyarrow; others
    if names is None and not table.shape:
        return ""
    column = "[:, 0]" if names is None else f"[{next(iter(names), what)!r}]"
    if not what.endswith("labels") or len(table.shape) != 2 or table.shape[1] < 2:  # noqa: PLR2004
        return f" Take a column of it, as with {column}."
    marked = "idxmax(axis=1)" if hasattr(table, "idxmax") else "argmax(axis=1)"
    return f" Take a column of it, as with {column}; or {marked}, if each column marks a class."


def encodable(text: str) -> str:
    """Return a text that UTF-8 can encode: lone surrogates become question marks.

    File names that are not valid UTF-8 contain lone surrogates.
    """
    return text.encode("utf-8", "replace").decode()


def as_texts(values: Any) -> list[str]:
    """Return texts as a list of str.

    Parameters
    ----------
    values : list, tuple, iterable, NumPy array, pandas Series, pyarrow Array
        Column of str; empty strings are allowed.

    Returns
    -------
    list of str
        In the same order.

    Raises
    ------
    DataError
        If there are no texts, or one is not a string; rows in the message count from 1.
    """
    texts = as_list(values, "texts")
    if not texts:
        raise DataError("Expected at least one text, got none.")
    wrong = [(row, text) for row, text in enumerate(texts, 1) if not isinstance(text, str)]
    if wrong:
        shown = ", ".join(f"row {row} is {reprlib.repr(text)}" for row, text in wrong[:_SHOWN])
        raise DataError(
            f"Expected texts of type str, but {len(wrong)} of {len(texts)} are not: {shown}. "
            f"{remedy(wrong[0][1])}"
        )
    return texts


def remedy(wrong: object) -> str:
    """Return what to do about a value that is no string, for messages."""
    if isinstance(wrong, bytes):
        return "Decode them, as with text.decode()."
    if isinstance(wrong, Mapping):
        return "Take the texts out of the rows, as with [row['text'] for row in rows]."
    if isinstance(wrong, Iterable):  # a list, or an array, as pandas reads lists from parquet
        return "A text is one string: join its tokens, as with ' '.join(tokens)."
    return "Drop these rows or fill them with an empty string."
