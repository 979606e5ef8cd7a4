"""Converts texts and labels from any common container to plain lists."""

from collections.abc import Iterable, Mapping
from typing import Any

from layerfuse.core.errors import DataError

_SHOWN = 3


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
    if isinstance(values, str | bytes):
        raise DataError(
            f"Expected a list of {what}, got one string. Put it in a list: [{what[:-1]}]."
        )
    if isinstance(values, Mapping | set | frozenset):
        raise DataError(
            f"Expected a list of {what}, got {type(values).__name__}, which is not a column."
        )
    shape = getattr(values, "shape", None)
    if shape is not None and len(shape) != 1:
        msg = f"Expected one column of {what}, got {type(values).__name__} of shape {tuple(shape)}."
        names = getattr(values, "column_names", getattr(values, "columns", None))  # pyarrow; others
        if names is not None:
            msg += f" Take a column of it, as with [{next(iter(names), what)!r}]."
        elif shape:
            msg += " Take a column of it, as with [:, 0]."
        raise DataError(msg)
    for convert in ("to_pylist", "tolist"):  # pyarrow; NumPy and pandas
        if hasattr(values, convert):
            converted: list[Any] = getattr(values, convert)()
            return converted
    if not isinstance(values, Iterable):
        raise DataError(f"Expected a list of {what}, got {type(values).__name__}.")
    return list(values)


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
        shown = ", ".join(f"row {row} is {text!r}" for row, text in wrong[:_SHOWN])
        raise DataError(
            f"Expected texts of type str, but {len(wrong)} of {len(texts)} are not: {shown}. "
            "Drop these rows or fill them with an empty string."
        )
    return texts
