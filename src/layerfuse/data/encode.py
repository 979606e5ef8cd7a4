"""Writes file formats in batches to an open file: the counterpart of ``formats``."""

import csv
import json
import math
from collections.abc import Callable, Mapping
from typing import IO, Any, Protocol, runtime_checkable

import pyarrow as pa
import pyarrow.parquet as pq

from layerfuse.core.errors import DataError
from layerfuse.data.formats import DELIMITERS, JSON_LINES
from layerfuse.data.untyped import to_values, why_untyped


@runtime_checkable
class Encoder(Protocol):
    """Writes batches into a file that it does not close."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Append the rows."""

    def close(self) -> None:
        """Write the end of the file."""


def start_encoder(extension: str, file: IO[bytes], schema: pa.Schema) -> Encoder:
    """Return the encoder for an extension, with the columns of the schema.

    Raises
    ------
    DataError
        If the format cannot represent one of the types.
    """
    if extension in JSON_LINES:
        return _JsonLines(file)
    if extension in DELIMITERS:
        return _Delimited(file, schema, DELIMITERS[extension])
    return _Parquet(file, schema)


class _Parquet:
    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        # A column kept as JSON text is written as plain strings.
        fields = [f if why_untyped(f) is None else f.remove_metadata() for f in schema]
        try:
            self._writer = pq.ParquetWriter(file, pa.schema(fields, schema.metadata))
        except pa.ArrowException as err:
            raise DataError(
                f"A .parquet file cannot hold the columns ({err}). Write .jsonl instead."
            ) from err

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)

    def close(self) -> None:
        self._writer.close()


class _Delimited:
    def __init__(self, file: IO[bytes], schema: pa.Schema, delimiter: str) -> None:
        for field in schema:
            if pa.types.is_nested(field.type) or _is_bytes(field.type):
                msg = f"Column {field.name!r} holds {field.type}. Write .parquet instead."
                raise DataError(msg)
        # With this line terminator the csv module quotes fields that have either character.
        self._rows = csv.writer(_Lines(file), delimiter=delimiter, lineterminator="\r\n")
        self._rows.writerow(schema.names)

    def write(self, batch: pa.RecordBatch) -> None:
        columns = [column.to_pylist() for column in _readable(batch).columns]
        self._rows.writerows(zip(*columns, strict=True))

    def close(self) -> None:
        pass


class _Lines:
    """File for the csv module that ends each row with a line feed only."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, row: str) -> None:
        self._file.write(row.removesuffix("\r\n").encode() + b"\n")


class _JsonLines:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, batch: pa.RecordBatch) -> None:
        for row in json_rows(batch):
            self._file.write(json_line(row, _plain).encode() + b"\n")

    def close(self) -> None:
        pass


def json_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return the rows of a batch for ``json_line``, with columns kept as JSON text parsed.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        Any rows.
    """
    columns = map(to_values, _readable(batch).columns, batch.schema)
    rows = zip(*columns, strict=True)
    return [dict(zip(batch.schema.names, row, strict=True)) for row in rows]


def json_line(row: Mapping[str, Any], plain: Callable[[object], str] = str) -> str:
    """Return a row as one JSON object, with null for NaN and infinity, which JSON lacks.

    Parameters
    ----------
    row : mapping of str to object
        Python values from Arrow, possibly nested.
    plain : callable
        Converts values that JSON cannot represent, such as dates.
    """
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False, default=plain)
    except ValueError:  # search for NaN and infinity only in rows that have them
        return json.dumps(_finite(row), ensure_ascii=False, allow_nan=False, default=plain)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _readable(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Convert times in nanoseconds, which Python cannot represent, to strings."""
    columns = [
        column.cast(pa.string()) if getattr(column.type, "unit", None) == "ns" else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _is_bytes(kind: pa.DataType) -> bool:
    return any(
        test(kind)
        for test in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    )


def _plain(value: object) -> str:
    if isinstance(value, bytes):
        msg = "A column holds bytes, which JSON cannot represent. Write .parquet instead."
        raise DataError(msg)
    return str(value)  # dates, times, decimals
