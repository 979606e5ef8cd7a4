"""Which column holds the texts and which the labels: as named, or guessed where that is safe."""

import difflib
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from layerfuse.core.errors import DataError
from layerfuse.data.untyped import why_untyped

# fmt: off
TEXT_NAMES = frozenset({
    "text", "texts", "sentence", "review", "content", "document", "question", "comment", "message",
    "tweet", "utterance", "query", "body",
})
LABEL_NAMES = frozenset({
    "label", "labels", "class", "category", "target", "sentiment", "y", "intent", "emotion",
    "topic",
})
# fmt: on

# A column that is chosen by nothing but its length must be longest by far.
_CLEARLY_LONGER = 2.0


def find_text_column(
    batch: pa.RecordBatch, source: str, named: str | None = None, label_column: str | None = None
) -> str:
    """Return the name of the text column.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        First rows of the table.
    source : str
        For messages.
    named : str, optional
        What the user said; only checked.
    label_column : str, optional
        A column that cannot be it.

    Returns
    -------
    str
        The column named; else the one with a usual name; else, of the string columns, the one whose
        values are at least twice as long on average as those of any other.

    Raises
    ------
    DataError
        If there is no such column, it is not of strings alone, or more than one fits; if the only
        column is named as if it were several.
    """
    if named is not None:
        check_column(batch, source, named, "text_column")
        kind = batch.schema.field(named).type
        # A column of nulls alone has no type; the row of the first is the better message.
        if not _is_text(kind) and not pa.types.is_null(kind):
            msg = f"{source}: text column {named!r} holds {kind}, expected strings."
            raise DataError(msg)
        _check_typed(batch, source, named)
        return named
    check_several(
        batch.schema.names, source, ", or name the column with text_column= (--text-column)"
    )
    strings: list[str] = [
        field.name for field in batch.schema if _is_text(field.type) and field.name != label_column
    ]
    usual = [name for name in strings if name.strip().lower() in TEXT_NAMES]
    if len(usual) == 1:
        _check_typed(batch, source, usual[0])
        return usual[0]
    if usual:
        raise _undecided(batch, source, "text", f"{_names(usual)} all could")
    others = [
        name
        for name in strings
        if name.strip().lower() not in LABEL_NAMES and why_untyped(batch.schema.field(name)) is None
    ]
    lengths = {name: _mean_chars(batch.column(name).to_pylist()) for name in others}
    ranked = sorted((name for name in others if lengths[name]), key=lambda name: -lengths[name])
    if not ranked:
        raise _undecided(batch, source, "text", "no column of strings could")
    if len(ranked) > 1 and lengths[ranked[0]] < _CLEARLY_LONGER * lengths[ranked[1]]:
        raise _undecided(batch, source, "text", f"{_names(ranked[:2])} are about equally long")
    return ranked[0]


def find_label_column(
    batch: pa.RecordBatch, source: str, named: str | None, text_column: str
) -> str:
    """Return the name of the label column: the one named, else the only one with a usual name.

    Raises
    ------
    DataError
        If there is no such column, it is the text column, more than one fits, or it mixes types.
    """
    if named == text_column:
        msg = f"{source}: column {named!r} cannot hold both the texts and the labels."
        raise DataError(msg)
    if named is not None:
        check_column(batch, source, named, "label_column")
        _check_typed(batch, source, named)
        return named
    usual: list[str] = [
        name
        for name in batch.schema.names
        if name != text_column and name.strip().lower() in LABEL_NAMES
    ]
    if len(usual) != 1:
        why = f"{_names(usual)} all could" if usual else "none has a usual name"
        raise _undecided(batch, source, "label", why)
    _check_typed(batch, source, usual[0])
    return usual[0]


def check_column(batch: pa.RecordBatch, source: str, column: str, option: str) -> None:
    """Raise unless the table has a column of this name.

    Raises
    ------
    DataError
        Listing the columns and the nearest.
    """
    names: list[str] = batch.schema.names
    if column in names:
        return
    near = difflib.get_close_matches(column, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    msg = f"{source} has no column {column!r} ({option}). Columns: {_names(names)}.{hint}"
    raise DataError(msg)


def check_as_trained(
    batch: pa.RecordBatch, source: str, what: str, column: str, trained_on: str
) -> None:
    """Raise unless a table to test on has a column that the training table was read from.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        First rows of the table.
    source, trained_on : str
        Both tables, for messages.
    what : str
        What the column holds.
    column : str
        Its name in the training table.

    Raises
    ------
    DataError
        Listing the columns.
    """
    if column not in batch.schema.names:
        raise DataError(
            f"{source}: there is no column {column!r}, which the {what} of {trained_on} come from. "
            f"Columns: {_names(batch.schema.names)}. Name the same columns alike in both."
        )


def check_several(names: Sequence[str], source: str, way_out: str = "") -> None:
    """Raise if the only column is named as if it were several, between other marks than those read.

    Parameters
    ----------
    names : sequence of str
        All columns.
    source : str
        For messages; its extension tells which marks were read.
    way_out : str
        What else the message names.

    Raises
    ------
    DataError
        With how to save the file.
    """
    marks = ",;|" if source.lower().endswith(".tsv") else ";|\t"
    if len(names) != 1 or not any(mark in names[0] for mark in marks):
        return
    msg = (
        f"{source}: the only column is {names[0]!r}, which looks like several. Columns of a .csv "
        f"file stand between commas, those of a .tsv file between tabs: save it so{way_out}."
    )
    raise DataError(msg)


def _check_typed(batch: pa.RecordBatch, source: str, column: str) -> None:
    why = why_untyped(batch.schema.field(column))
    if why is not None:
        raise DataError(f"{source}: column {column!r} holds {why}")


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _mean_chars(values: Sequence[Any]) -> float:
    """Return the mean length; 0 for a column of numbers, which in a delimited file are strings."""
    filled = [value for value in values if value]
    if all(_is_number(value) for value in filled):
        return 0.0
    return sum(map(len, filled)) / len(values)


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _names(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))


def _undecided(batch: pa.RecordBatch, source: str, what: str, why: str) -> DataError:
    columns = ", ".join(f"{field.name!r} ({field.type})" for field in batch.schema)
    msg = (
        f"{source}: cannot tell which column holds the {what}s; {why}. Columns: {columns}. "
        f"Name it with {what}_column= (--{what}-column)."
    )
    return DataError(msg)
