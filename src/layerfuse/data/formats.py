"""Reads file formats as a stream of Arrow batches.

Delimited text and JSON lines are read with the standard library and not with Arrow's readers, which
guess types from the first block, turn strings that look like dates into dates, and ignore stray
quotes. Here every error names its row or line, and every value stays as it is in the file: all
columns of a delimited file are strings.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from layerfuse.core.errors import DataError
from layerfuse.data.columns import check_several
from layerfuse.data.untyped import ColumnType, to_array

DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
EXTENSIONS = (*DELIMITERS, *JSON_LINES, ".parquet")

# The standard library refuses fields above 128 KiB, but a long document may have more.
_MAX_FIELD_CHARS = 2**26

# Half a surrogate pair in JSON, which is not a character by itself.
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


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
    """Yield the rows of a file of any known format, in order; the file is read lazily.

    Raises
    ------
    DataError
        If the file cannot be read in the format of its extension.
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
        If a row is ragged, a quote is not closed or the text is not UTF-8; with tabs as delimiter,
        also if a row is ambiguous: without its quotes, its lines would be whole rows.
    """
    rows = _delimited_rows(lines, name, delimiter)
    header = next(rows, None)
    while header is not None and (chunk := list(islice(rows, batch_rows))):
        columns = [pa.array(values, pa.string()) for values in zip(*chunk, strict=True)]
        yield pa.RecordBatch.from_arrays(columns, names=header)


def read_json_lines(file: IO[bytes], name: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """Yield one row per JSON object; a missing key is null.

    The file is read twice, first for its columns and their types, so that all batches have the
    same. A column whose values have no common type is kept as JSON text. Half a surrogate pair,
    which is not a character, becomes U+FFFD.

    Raises
    ------
    DataError
        If a line is not a JSON object, the text is not UTF-8, or the file is a pipe, which cannot
        be read twice.
    """
    if not file.seekable():
        raise DataError(f"{name} is a pipe, which can be read only once. Save it as a file first.")
    types: dict[str, ColumnType] = {}
    for first_row, chunk in _chunks(_json_objects(file, name), batch_rows):
        for key in dict.fromkeys(key for row in chunk for key in row):
            values = [row.get(key) for row in chunk]
            types.setdefault(key, ColumnType()).learn(values, first_row)
    schema = pa.schema([column.to_field(key) for key, column in types.items()])
    file.seek(0)
    for first_row, chunk in _chunks(_json_objects(file, name), batch_rows):
        columns = []
        for field in schema:
            try:
                columns.append(to_array([row.get(field.name) for row in chunk], field))
            except pa.ArrowException as err:  # integers that float64 cannot represent exactly
                msg = f"{name}, from data row {first_row} on: column {field.name!r}: {err}"
                raise DataError(msg) from err
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def read_parquet(file: IO[bytes], name: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a parquet file.

    Raises
    ------
    DataError
        If it is not a parquet file, or is damaged.
    """
    try:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=batch_rows):
            if batch.num_rows:
                yield batch
    except (pa.ArrowException, OSError) as err:
        msg = f"{name} is not a readable parquet file: {err}"
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
    """Yield the header, then each row; blank lines are skipped."""
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_FIELD_CHARS))
    reader = csv.reader(_decoded(lines, name), delimiter=delimiter, strict=True)
    width = 0
    header: list[str] = []
    try:
        for number, row in enumerate(filter(None, reader)):  # the header is row 0
            width = width or len(row)
            header = header or row
            if len(row) != width:
                check_several(header, name)
                msg = (
                    f"{name}, data row {number} (line {reader.line_num}): expected {width} fields "
                    f"as in the header, got {len(row)}. Put quotes around a field that holds "
                    f"{delimiter!r}."
                )
                raise DataError(msg)
            if delimiter == "\t" and _holds_rows(row):
                first_line = reader.line_num - "".join(row).count("\n")
                msg = (
                    f"{name}, data row {number} (lines {first_line} to {reader.line_num}) is "
                    "ambiguous: one row with a quoted field of several lines, or several rows with "
                    "two quotes in their texts. Save the file as .csv or .jsonl."
                )
                raise DataError(msg)
            yield row
    except csv.Error as err:
        if "new-line character" in str(err):
            msg = (
                f"{name}, line {reader.line_num}: a carriage return without a line feed, as in "
                "files of old Macs. Save the file with other line ends, or put quotes around the "
                "field if it is part of one."
            )
            raise DataError(msg) from err
        check_several(header, name)
        msg = (
            f"{name}, line {reader.line_num}: {err}. Put quotes around the whole field, "
            "and write a quote inside it twice."
        )
        raise DataError(msg) from err


def _holds_rows(row: list[str]) -> bool:
    """Return whether a row would be several rows if quotes had no special meaning.

    Many programs write tab-separated files in this way, so that a text may begin with a quote.
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
            if _SURROGATE.search(line):
                row = _characters(row)
        except (ValueError, RecursionError) as err:
            msg = f"{name}, line {number}: invalid JSON ({err}). Expected one object per line."
            raise DataError(msg) from err
        if not isinstance(row, dict):
            msg = f"{name}, line {number}: expected a JSON object, got {type(row).__name__}."
            raise DataError(msg)
        yield row


def _chunks(
    rows: Iterator[dict[str, Any]], n_rows: int
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Yield lists of rows, each with the number of its first row, counted from 1."""
    first_row = 1
    while chunk := list(islice(rows, n_rows)):
        yield first_row, chunk
        first_row += len(chunk)


def _characters(row: Any) -> Any:
    """Replace each half of a surrogate pair in a parsed JSON value by U+FFFD."""
    line = json.dumps(row, ensure_ascii=False)
    return json.loads(line.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
