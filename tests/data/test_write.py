"""What was written is what was given, in every format, and a failure leaves nothing behind."""

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
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


def test_a_file_that_is_replaced_keeps_its_permissions_and_links(tmp_path: Path) -> None:
    folder, link = tmp_path / "there", tmp_path / "out.csv"
    folder.mkdir()
    link.symlink_to(folder / "real")
    for content in ("a\nx\n", "a\ny\n"):
        write(link, [{"a": content[2]}])
        assert link.is_symlink()
        assert [path.name for path in folder.iterdir()] == ["real"]
        assert (folder / "real").read_text() == content
        (folder / "real").chmod(0o600)
    assert (folder / "real").stat().st_mode & 0o777 == 0o600
    write(link, [{"a": "z"}])
    assert (folder / "real").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_disk_that_is_full_is_told_with_the_path(tmp_path: Path, extension: str) -> None:
    code = (
        "import resource, sys, pyarrow as pa\n"
        "from layerfuse.data import TableWriter\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "batch = pa.record_batch({'a': [str(n) for n in range(100_000)]})\n"
        "with TableWriter(sys.argv[1]) as writer:\n"
        "    writer.write(batch)\n"
    )
    path = tmp_path / f"out{extension}"
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(f"{path} cannot be written: File too large.")
    assert list(tmp_path.iterdir()) == []


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


def test_parquet_cannot_hold_an_empty_struct(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot hold the columns \(.*'x'.*\)\. Write .jsonl"):
        write(tmp_path / "out.parquet", [{"text": "a", "x": {}}])
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


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (NAN, None),
        (-INF, None),
        ([1.5, NAN, None], [1.5, None, None]),
        ({"a": [{"b": INF, "c": 1e300}], "d": "NaN"}, {"a": [{"b": None, "c": 1e300}], "d": "NaN"}),
    ],
)
def test_json_lines_have_null_for_nan_and_infinity(
    tmp_path: Path, value: Any, written: Any
) -> None:
    write(tmp_path / "out.jsonl", [{"text": "é", "x": value, "day": dt.date(2020, 1, 2)}])
    line = (tmp_path / "out.jsonl").read_text(encoding="utf-8")
    assert json.loads(line, parse_constant=pytest.fail) == {
        "text": "é",
        "x": written,
        "day": "2020-01-02",
    }


def test_json_lines_have_null_for_nan_and_infinity_in_a_map(tmp_path: Path) -> None:
    pairs = pa.array([[("a", NAN), ("b", 0.5)]], pa.map_(pa.string(), pa.float64()))
    with TableWriter(tmp_path / "out.jsonl") as writer:
        writer.write(pa.record_batch({"x": pairs}))
    assert (tmp_path / "out.jsonl").read_text() == '{"x": [["a", null], ["b", 0.5]]}\n'


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize(
    "other", [{"n": 1, "a": "x"}, {"a": "x"}, {"a": "x", "n": 1, "b": 1}, {"a": "x", "n": 1.0}]
)
def test_batches_have_the_columns_of_the_first(tmp_path: Path, extension: str, other: Row) -> None:
    path = tmp_path / f"out{extension}"
    with pytest.raises(DataError, match=r"columns 'a' \(string\), 'n' \(int64\), got '"):
        write(path, [{"a": "x", "n": 1}], [other])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("extension", EXTENSIONS[:3])
def test_nanoseconds_are_written_whole(tmp_path: Path, extension: str) -> None:
    values = [1_700_000_000_123_456_789, None]
    times = pa.array(values, pa.timestamp("ns"))
    with TableWriter(tmp_path / f"out{extension}") as writer:
        writer.write(pa.RecordBatch.from_arrays([times], names=["at"]))
    assert "2023-11-14 22:13:20.123456789" in (tmp_path / f"out{extension}").read_text()


def test_nanoseconds_need_no_pandas(tmp_path: Path) -> None:
    """Arrow converts them to types of pandas, and fails if pandas is missing."""
    code = (
        "import sys\n"
        "class Without:\n"
        "    def find_spec(name, *rest):\n"
        "        if name == 'pandas': raise ImportError(name)\n"
        "sys.meta_path.insert(0, Without)\n"
        "import pyarrow as pa\n"
        "from layerfuse.data import TableWriter\n"
        "times = pa.array([1_700_000_000_123_456_789], pa.timestamp('ns'))\n"
        "batch = pa.RecordBatch.from_arrays([times], names=['at'])\n"
        "for path in sys.argv[1:]:\n"
        "    with TableWriter(path) as writer:\n"
        "        writer.write(batch)\n"
    )
    paths = [tmp_path / f"out{extension}" for extension in EXTENSIONS[:3]]
    subprocess.run([sys.executable, "-c", code, *paths], check=True)
    assert all("22:13:20.123456789" in path.read_text() for path in paths)


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(3)])
def test_csv_holds_no_bytes(tmp_path: Path, kind: pa.DataType) -> None:
    table = pa.RecordBatch.from_arrays([pa.array([b"abc"], kind)], names=["a"])
    with pytest.raises(DataError, match=r"Write .parquet"), TableWriter(tmp_path / "o.csv") as out:
        out.write(table)


def test_a_folder_of_that_name_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "out.parquet").mkdir()
    with pytest.raises(DataError, match=r"out\.parquet is a folder"):
        TableWriter(tmp_path / "out.parquet")


def test_with_predictions(tmp_path: Path) -> None:
    rows = with_predictions(batch(ROWS[:2]), ["x", "y"], [0.5, 1.0])
    assert rows.schema.names == ["text", "id", "prediction", "probability"]
    with TableWriter(tmp_path / "out.parquet") as writer:
        writer.write(rows)
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column("prediction").to_pylist() == ["x", "y"]
    with pytest.raises(DataError, match=r"already has a column named 'prediction'"):
        with_predictions(rows, ["x", "y"], [0.5, 1.0])


def test_parquet_keeps_the_index_and_the_types_of_pandas(tmp_path: Path):
    index = pd.Index(["r0", "r1", "r2"], name="id")
    frame = pd.DataFrame({"text": list("abc"), "n": pd.array([1, None, 3], "Int64")}, index)
    frame.to_parquet(tmp_path / "in.parquet")
    with TableWriter(tmp_path / "out.parquet") as out:
        for batch in iter_batches(tmp_path / "in.parquet", "text", batch_rows=2).batches:
            n_rows = batch.num_rows
            out.write(with_predictions(batch, ["x"] * n_rows, [0.5] * n_rows))

    read = pd.read_parquet(tmp_path / "out.parquet")
    pd.testing.assert_frame_equal(read[["text", "n"]], frame)
    assert list(read.columns) == ["text", "n", "prediction", "probability"]


def test_pandas_reads_a_column_of_nulls(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": ["a", "b"], "note": [None, None]})
    frame.convert_dtypes(dtype_backend="pyarrow").to_parquet(tmp_path / "in.parquet")
    with TableWriter(tmp_path / "out.parquet") as out:
        for batch in iter_batches(tmp_path / "in.parquet", "text").batches:
            out.write(with_predictions(batch, ["x", "y"], [0.5, 0.5]))

    assert pd.read_parquet(tmp_path / "out.parquet")["note"].isna().all()
