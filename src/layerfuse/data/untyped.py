"""Columns of JSON lines: the common Arrow type of all values, or JSON text if there is none.

Mixed types in an unused column are no reason to refuse a file. Such a column is kept as JSON text,
and its field is marked, so that using the column as texts or labels raises an error.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

_UNTYPED = b"layerfuse.untyped"


@dataclass
class ColumnType:
    """The common type of the values of a column, widened chunk by chunk.

    Attributes
    ----------
    kind : pyarrow.DataType
        Common type of all values so far.
    problem : str
        Why there is no common type; empty as long as there is one.
    """

    kind: pa.DataType = field(default_factory=pa.null)
    problem: str = ""
    _first_rows: dict[type, int] = field(default_factory=dict)

    def learn(self, values: Sequence[Any], first_row: int) -> None:
        """Widen the type to more values, the first of which is in data row ``first_row``."""
        kinds = [type(value) for value in values]
        for kind in set(kinds) - {type(None), *self._first_rows}:
            self._first_rows[kind] = first_row + kinds.index(kind)
        if self.problem:
            return
        try:
            pair = [pa.schema([("", kind)]) for kind in (self.kind, pa.array(values).type)]
            self.kind = pa.unify_schemas(pair, promote_options="permissive").field(0).type
        except (pa.ArrowException, OverflowError) as err:
            self.problem = str(err)

    def to_field(self, name: str) -> pa.Field:
        """Return the field of the column: of the common type, or a string marked as JSON."""
        if not self.problem:
            return pa.field(name, self.kind)
        rows = sorted(self._first_rows.items(), key=lambda item: item[1])
        kinds = " and ".join(f"{kind.__name__} (data row {row})" for kind, row in rows)
        why = f"{kinds}, which have no common type: {self.problem}"
        return pa.field(name, pa.string(), metadata={_UNTYPED: why})


def why_untyped(column: pa.Field) -> str | None:
    """Return why a column is kept as JSON text; None for any other column."""
    why = (column.metadata or {}).get(_UNTYPED)
    return None if why is None else why.decode()


def to_array(values: Iterable[Any], column: pa.Field) -> pa.Array:
    """Convert values to an array of the field's type.

    Raises
    ------
    pyarrow.ArrowException
        If a value does not fit the type.
    """
    if why_untyped(column) is not None:
        values = [None if v is None else json.dumps(v, ensure_ascii=False) for v in values]
    return pa.array(values, column.type)


def to_values(array: pa.Array, column: pa.Field) -> list[Any]:
    """Return the values from which ``to_array`` made an array."""
    values: list[Any] = array.to_pylist()
    if why_untyped(column) is None:
        return values
    return [None if value is None else json.loads(value) for value in values]
