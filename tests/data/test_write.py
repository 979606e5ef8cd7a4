"""What was written is what was given, in every format, and a failure leaves nothing behind."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from layerfuse.core.errors import DataError
from layerfuse.data import TableWriter, iter_batches, with_predictions

Row = dict[str, Any]

EXTENSIONS = [".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"]
ROWS = [
    {"text": "a,\tb", "id": "01"},
    {"text": 'q"uo"te', "id": ""},
    {"text": "new\nline", "id": "x"},
    {"text": "\r", "id": "é"},
    {"text": "", "id": ""},
]


def batch(rows: list[Row]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows)


def write(path: Path, *steps: Any) -> None:
    """Write batches of rows; raise what is an error among them."""
    with TableWriter(path) as writer:
        for step in steps:
            if isinstance(step, Exception):
                raise step
            writer.write(batch(step))


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_round_trip(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"out{extension}"
    with TableWriter(path) as writer:
        writer.write(batch(ROWS[:2]))
        writer.write(batch(ROWS[2:]))
        assert not path.exists()
    assert list(tmp_path.iterdir()) == [path]
    assert [row for b in iter_batches(path).batches for row in b.to_pylist()] == ROWS


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_failure_leaves_nothing(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"out{extension}"
    with pytest.raises(RuntimeError, match=r"stop"):
        write(path, ROWS, RuntimeError("stop"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_failure_keeps_what_was_there(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"out{extension}"
    path.write_text("before")
    with pytest.raises(RuntimeError, match=r"stop"):
        write(path, ROWS, RuntimeError("stop"))
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_success_replaces_what_was_there(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"out{extension}"
    path.write_text("before")
    with TableWriter(path) as writer:
        writer.write(batch(ROWS))
    assert [row for b in iter_batches(path).batches for row in b.to_pylist()] == ROWS


def test_nothing_written_makes_no_file(tmp_path: Path) -> None:
    with TableWriter(tmp_path / "out.csv"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_file_has_the_usual_permissions(tmp_path: Path) -> None:
    with TableWriter(tmp_path / "out.csv") as writer:
        writer.write(batch(ROWS))
    (tmp_path / "plain").touch()
    assert (tmp_path / "out.csv").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_unknown_extension() -> None:
    with pytest.raises(DataError, match=r"unknown extension '.xlsx'"):
        TableWriter("out.xlsx")


def test_missing_folder_fails_before_any_work(tmp_path: Path) -> None:
    writer = TableWriter(tmp_path / "no" / "out.csv")
    with pytest.raises(DataError, match=r"out.csv cannot be written: No such file"):
        writer.__enter__()


def test_csv_is_quoted_only_where_needed(tmp_path: Path) -> None:
    with TableWriter(tmp_path / "out.csv") as writer:
        writer.write(batch([{"text": "plain", "n": 1, "p": 0.5, "none": None}]))
    assert (tmp_path / "out.csv").read_text() == "text,n,p,none\nplain,1,0.5,\n"


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, b"bytes"])
def test_csv_cannot_hold_everything(tmp_path: Path, value: Any) -> None:
    with pytest.raises(DataError, match=r"Column 'x' holds .*Write .parquet"):
        write(tmp_path / "out.csv", [{"text": "a", "x": value}])
    assert list(tmp_path.iterdir()) == []


def test_json_lines_hold_lists_and_dates_but_no_bytes(tmp_path: Path) -> None:
    row = {"text": "é", "x": [{"a": None}], "day": dt.date(2020, 1, 2)}
    with TableWriter(tmp_path / "out.jsonl") as writer:
        writer.write(batch([row]))
    line = (tmp_path / "out.jsonl").read_text(encoding="utf-8")
    assert json.loads(line) == {**row, "day": "2020-01-02"}
    assert "é" in line
    with pytest.raises(DataError, match=r"JSON cannot"):
        write(tmp_path / "bytes.jsonl", [{"x": b"a"}])


@pytest.mark.parametrize("extension", [".csv", ".parquet"])
def test_later_batches_follow_the_first(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"out{extension}"
    with TableWriter(path) as writer:
        writer.write(batch([{"a": 1.5, "b": "x"}]))
        writer.write(batch([{"b": "y", "a": 2}]))
        writer.write(batch([{"b": "z"}]))
    got = [tuple(row.values()) for b in iter_batches(path).batches for row in b.to_pylist()]
    whole = "2" if extension == ".csv" else 2.0
    assert got == [
        ("1.5" if extension == ".csv" else 1.5, "x"),
        (whole, "y"),
        ("" if extension == ".csv" else None, "z"),
    ]


@pytest.mark.parametrize("extension", [".csv", ".parquet"])
def test_new_columns_in_a_later_batch(tmp_path: Path, extension: str) -> None:
    with pytest.raises(DataError, match=r"Column 'b' is not in the first rows"):
        write(tmp_path / f"out{extension}", [{"a": "x"}], [{"a": "x", "b": 1}])
    assert list(tmp_path.iterdir()) == []


def test_other_types_in_a_later_batch(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"other types than the first .*Write .jsonl"):
        write(tmp_path / "out.parquet", [{"a": 1}], [{"a": "x"}])
    assert list(tmp_path.iterdir()) == []


def test_with_predictions(tmp_path: Path) -> None:
    rows = with_predictions(batch(ROWS[:2]), ["x", "y"], [0.5, 1.0])
    assert rows.schema.names == ["text", "id", "prediction", "probability"]
    with TableWriter(tmp_path / "out.parquet") as writer:
        writer.write(rows)
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column("prediction").to_pylist() == ["x", "y"]
    with pytest.raises(DataError, match=r"already has a column named 'prediction'"):
        with_predictions(rows, ["x", "y"], [0.5, 1.0])
