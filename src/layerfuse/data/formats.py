"""File formats, read as a stream of Arrow batches.

Delimited text and JSON lines are read with the standard library and not with Arrow's own readers,
which guess types from the first block, take strings that look like dates for dates and a stray
quote for nothing. Here every error knows its row and line, and every value stays as it stands in
the file: all columns of a delimited file are strings.
"""

import csv
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from layerfuse.core.errors import DataError

DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
EXTENSIONS = (*DELIMITERS, *JSON_LINES, ".parquet")

# The standard library refuses fields above 128 KiB, which a long document is.
_MAX_FIELD_CHARS = 2**26


def check_extension(path: Path) -> str:
    """Return the extension in lower case.

    Raises
    ------
    DataError
        If no format has this extension.
    """
    extension = path.suffix.lower()
    if extension not in EXTENSIONS:
        msg = f"{path}: unknown extension {path.suffix!r}. Expected one of {', '.join(EXTENSIONS)}."
        raise DataError(msg)
    return extension


def read_file(path: Path, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file of any known format, in order; the file is read as they are used.

    Raises
    ------
    DataError
        If the file cannot be read as what its extension says.
    """
    extension = check_extension(path)
    try:
        file = path.open("rb")
    except OSError as err:
        msg = f"{path} cannot be read: {err.strerror}."
        raise DataError(msg) from err
    with file:
        if extension in DELIMITERS:
            yield from read_delimited(file, str(path), batch_rows, DELIMITERS[extension])
        elif extension in JSON_LINES:
            yield from read_json_lines(file, str(path), batch_rows)
        else:
            yield from read_parquet(file, str(path), batch_rows)


def read_delimited(
    lines: Iterable[bytes], name: str, batch_rows: int, delimiter: str = ","
) -> Iterator[pa.RecordBatch]:
    """Yield the rows below the header; every column is a string column.

    Raises
    ------
    DataError
        If a row is ragged, a quote is not closed or the text is not UTF-8; where tabs delimit, also
        if quotes make one row of lines that are whole rows without them.
    """
    rows = _delimited_rows(lines, name, delimiter)
    header = next(rows, None)
    while header is not None and (chunk := list(islice(rows, batch_rows))):
        columns = [pa.array(values, pa.string()) for values in zip(*chunk, strict=True)]
        yield pa.RecordBatch.from_arrays(columns, names=header)


def read_json_lines(lines: Iterable[bytes], name: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """Yield one row per JSON object; types are found per batch, a missing key is null.

    Raises
    ------
    DataError
        If a line is no JSON object, a column mixes types or the text is not UTF-8.
    """
    objects = _json_objects(lines, name)
    keys: dict[str, None] = {}
    first_row = 1
    while chunk := list(islice(objects, batch_rows)):
        # Columns keep their place once seen, so that a batch that lacks one does not reorder them.
        keys |= dict.fromkeys(key for row in chunk for key in row)
        columns = [_typed([row.get(key) for row in chunk], key, name, first_row) for key in keys]
        try:
            batch = pa.RecordBatch.from_arrays(columns, names=list(keys))
        except UnicodeEncodeError as err:
            msg = f"{name}: a column name holds half a surrogate pair, which is no character."
            raise DataError(msg) from err
        yield batch
        first_row += len(chunk)


def read_parquet(file: IO[bytes], name: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a parquet file.

    Raises
    ------
    DataError
        If it is no parquet file, or a damaged one.
    """
    try:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=batch_rows):
            if batch.num_rows:
                yield batch
    except (pa.ArrowException, OSError) as err:
        msg = f"{name} is no readable parquet file: {err}"
        raise DataError(msg) from err


def _decoded(lines: Iterable[bytes], name: str) -> Iterator[str]:
    for number, raw in enumerate(lines, 1):
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as err:
            msg = (
                f"{name}, line {number}, byte {err.start + 1} of the line: not UTF-8 "
                f"(0x{raw[err.start]:02x}). Save the file as UTF-8."
            )
            raise DataError(msg) from err


def _delimited_rows(lines: Iterable[bytes], name: str, delimiter: str) -> Iterator[list[str]]:
    """Yield the header, then each row; blank lines are no rows."""
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_FIELD_CHARS))
    reader = csv.reader(_decoded(lines, name), delimiter=delimiter, strict=True)
    width = 0
    try:
        for number, row in enumerate(filter(None, reader)):  # the header is row 0
            width = width or len(row)
            if len(row) != width:
                msg = (
                    f"{name}, data row {number} (line {reader.line_num}): expected {width} fields "
                    f"as in the header, got {len(row)}. Put quotes around a field that holds "
                    f"{delimiter!r}."
                )
                raise DataError(msg)
            if delimiter == "\t" and _holds_rows(row):
                first_line = reader.line_num - "".join(row).count("\n")
                msg = (
                    f"{name}, data row {number} (lines {first_line} to {reader.line_num}): is this "
                    "one row with a quoted field of several lines, or several rows of which two "
                    "texts have a quote of their own? Save the file as .csv or .jsonl, which tell."
                )
                raise DataError(msg)
            yield row
    except csv.Error as err:
        msg = (
            f"{name}, line {reader.line_num}: {err}. Put quotes around the whole field, "
            "and write a quote inside it twice."
        )
        raise DataError(msg) from err


def _holds_rows(row: list[str]) -> bool:
    """Tell whether a row would be several if quotes were characters like others.

    To many programs that write tabs they are, so that a text may begin with one.
    """
    n_tabs = len(row) - 1
    if not any("\n" in field for field in row):
        return False
    lines = [line for line in "\t".join(row).split("\n") if line.strip("\r")]
    return n_tabs > 0 and len(lines) > 1 and all(line.count("\t") == n_tabs for line in lines)


def _json_objects(lines: Iterable[bytes], name: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(_decoded(lines, name), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as err:
            msg = f"{name}, line {number}: invalid JSON ({err}). Expected one object per line."
            raise DataError(msg) from err
        if not isinstance(row, dict):
            msg = f"{name}, line {number}: expected a JSON object, got {type(row).__name__}."
            raise DataError(msg)
        yield row


def _typed(values: list[Any], column: str, name: str, first_row: int) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError) as err:
        seen: dict[str, int] = {}
        for row, value in enumerate(values, first_row):
            if value is not None:
                seen.setdefault(type(value).__name__, row)
        kinds = " and ".join(f"{kind} (data row {row})" for kind, row in seen.items())
        msg = f"{name}: column {column!r} holds {kinds}, which is no one type: {err}"
        raise DataError(msg) from err
