"""Columns of JSON lines: the one Arrow type that holds all values, or JSON text where none does.

A value of another type in a column that nobody asked for is no reason to refuse a file. Such a
column is carried along as JSON text, and its field tells so, for who asks for it after all.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

_UNTYPED = b"layerfuse.untyped"


@dataclass
class ColumnType:
    """What the values of a column have in common, learned part by part.

    Attributes
    ----------
    kind : pyarrow.DataType
        Of all values so far.
    problem : str
        Why no type holds them all; empty as long as one does.
    """

    kind: pa.DataType = field(default_factory=pa.null)
    problem: str = ""
    _first_rows: dict[type, int] = field(default_factory=dict)

    def learn(self, values: Sequence[Any], first_row: int) -> None:
        """Widen the type to more values, whose first stands in this data row."""
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
        """Return the field of the column: of its type, or text that is marked as JSON."""
        if not self.problem:
            return pa.field(name, self.kind)
        rows = sorted(self._first_rows.items(), key=lambda item: item[1])
        kinds = " and ".join(f"{kind.__name__} (data row {row})" for kind, row in rows)
        why = f"{kinds}, which is no one type: {self.problem}"
        return pa.field(name, pa.string(), metadata={_UNTYPED: why})


def why_untyped(column: pa.Field) -> str | None:
    """Return which values a column of JSON text holds and why; None for any other column."""
    why = (column.metadata or {}).get(_UNTYPED)
    return None if why is None else why.decode()


def to_array(values: Iterable[Any], column: pa.Field) -> pa.Array:
    """Return values as the field has them.

    Raises
    ------
    pyarrow.ArrowException
        If its type does not hold one.
    """
    if why_untyped(column) is not None:
        values = [None if v is None else json.dumps(v, ensure_ascii=False) for v in values]
    return pa.array(values, column.type)


def to_values(array: pa.Array, column: pa.Field) -> list[Any]:
    """Return what ``to_array`` was given."""
    values: list[Any] = array.to_pylist()
    if why_untyped(column) is None:
        return values
    return [None if value is None else json.loads(value) for value in values]
