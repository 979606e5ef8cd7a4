"""The columns that predicting a table adds to it."""

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from layerfuse.core.errors import DataError

ADDED_COLUMNS = ("prediction", "probability")
"""What ``with_predictions`` appends to a table."""


def check_addable(names: Iterable[str], source: str) -> None:
    """Raise if a table already has one of the columns that predictions add.

    Raises
    ------
    DataError
        Naming the column.
    """
    taken = [name for name in names if name in ADDED_COLUMNS]
    if taken:
        msg = f"{source} already has a column named {taken[0]!r}. Rename or drop it first."
        raise DataError(msg)


def with_predictions(
    batch: pa.RecordBatch, predictions: Sequence[Any], probabilities: Sequence[float]
) -> pa.RecordBatch:
    """Return the batch with the columns ``prediction`` and ``probability`` at the end.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        Rows that were predicted.
    predictions : sequence of str, int or bool
        One per row.
    probabilities : sequence of float
        Of the predicted class, 0 to 1, one per row.

    Returns
    -------
    pyarrow.RecordBatch
        All columns of the batch, in order, and the two.

    Raises
    ------
    DataError
        If the batch has a column of that name.
    """
    check_addable(batch.schema.names, "The table")
    for name, values in zip(ADDED_COLUMNS, (predictions, probabilities), strict=True):
        batch = batch.append_column(name, pa.array(values))
    return batch
