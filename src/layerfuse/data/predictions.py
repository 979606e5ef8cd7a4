"""The columns that predictions add to a table."""

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from layerfuse.core.errors import DataError

ADDED_COLUMNS = ("prediction", "probability")
"""Columns that ``with_predictions`` appends to a table."""


def check_addable(names: Iterable[str], source: str) -> None:
    """Raise if a table already has one of the columns that predictions add.

    Raises
    ------
    DataError
        Names the column.
    """
    taken = [name for name in names if name in ADDED_COLUMNS]
    if taken:
        msg = f"{source} already has a column named {taken[0]!r}. Rename or drop it first."
        raise DataError(msg)


def with_predictions(
    batch: pa.RecordBatch, predictions: Sequence[Any], probabilities: Sequence[float]
) -> pa.RecordBatch:
    """Append the columns ``prediction`` and ``probability`` to a batch.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        Rows that were predicted.
    predictions : sequence of str, int or bool
        Predicted label of each row.
    probabilities : sequence of float
        Probability of that label, 0 to 1, for each row.

    Returns
    -------
    pyarrow.RecordBatch
        All columns of the batch, in order, then the two.

    Raises
    ------
    DataError
        If the batch already has one of the two columns.
    """
    check_addable(batch.schema.names, "The table")
    for name, values in zip(ADDED_COLUMNS, (predictions, probabilities), strict=True):
        batch = batch.append_column(name, pa.array(values))
    return batch
