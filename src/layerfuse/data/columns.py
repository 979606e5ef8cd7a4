"""Finds the columns of texts and labels: as named, or guessed if the guess is safe."""

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

# A text column chosen by length alone must be the longest by this factor.
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
        Column that the user named, which is only checked.
    label_column : str, optional
        Column that is not considered.

    Returns
    -------
    str
        The named column; otherwise the one with a usual name; otherwise the string column whose
        values are on average at least twice as long as those of any other.

    Raises
    ------
    DataError
        If there is no such column, not all its values are strings, or more than one fits; if the
        name of the only column looks like several.
    """
    if named is not None:
        check_column(batch, source, named, "text_column")
        kind = batch.schema.field(named).type
        # A column of only nulls has no type; a later message names the row of the first null.
        if not _is_text(kind) and not pa.types.is_null(kind):
            msg = f"{source}: text column {named!r} holds {kind}, expected strings."
            raise DataError(msg)
        _check_typed(batch, source, named)
        return named
    check_several(batch.schema.names, source, ", or name the column with text_column=NAME")
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
    """Return the name of the label column: as named, or the only one with a usual name.

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
        Lists all columns and suggests the nearest.
    """
    names: list[str] = batch.schema.names
    if column in names:
        return
    near = difflib.get_close_matches(column, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise DataError(
        f"{option}={column!r}, but {source} has no such column. Columns: {_names(names)}.{hint}"
    )


def check_as_trained(
    batch: pa.RecordBatch, source: str, what: str, column: str, trained_on: str
) -> None:
    """Raise unless a test table has a column that was used in the training table.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        First rows of the test table.
    source, trained_on : str
        Test and training table, for messages.
    what : str
        What the column holds: texts or labels.
    column : str
        Its name in the training table.

    Raises
    ------
    DataError
        Lists the columns of the test table.
    """
    if column not in batch.schema.names:
        raise DataError(
            f"{source}: there is no column {column!r}, from which the {what} of {trained_on} were "
            f"read. Columns: {_names(batch.schema.names)}. Use the same column names in both."
        )


def check_several(names: Sequence[str], source: str, way_out: str = "") -> None:
    """Raise if the name of the only column has a delimiter that was not used to read the file.

    Parameters
    ----------
    names : sequence of str
        All columns.
    source : str
        File name, for messages; its extension gives the delimiter that was used.
    way_out : str
        Another remedy to add to the message.

    Raises
    ------
    DataError
        Says how to save the file.
    """
    delimiters = ",;|" if source.lower().endswith(".tsv") else ";|\t"
    if len(names) != 1 or not any(delimiter in names[0] for delimiter in delimiters):
        return
    msg = (
        f"{source}: the only column is {names[0]!r}, which looks like several. Save a .csv file "
        f"with commas and a .tsv file with tabs between the columns{way_out}."
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
    """Return the mean length; 0 if all values are numbers written as strings."""
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
        f"Name it with {what}_column=NAME."
    )
    return DataError(msg)
