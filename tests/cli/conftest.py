"""Tables of toy texts, a saved classifier, and the command line called in this process."""

import io
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from layerfuse import FusionClassifier

FORMATS = (".csv", ".tsv", ".jsonl", ".parquet")


def write_table(path: Path, columns: dict[str, list]) -> Path:
    """Write a table by other means than the library's own."""
    table = pa.table(columns)
    if path.suffix == ".parquet":
        pa.parquet.write_table(table, path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()), "utf-8")
    else:
        delimiter = "\t" if path.suffix == ".tsv" else ","
        pa.csv.write_csv(table, path, pa.csv.WriteOptions(delimiter=delimiter))
    return path


def read_table(path: Path) -> pa.Table:
    """Read a table by other means than the library's own."""
    if path.suffix == ".parquet":
        return pa.parquet.read_table(path)
    if path.suffix == ".jsonl":
        lines = path.read_text("utf-8").splitlines()
        return pa.Table.from_pylist([json.loads(line) for line in lines])
    options = pa.csv.ParseOptions(delimiter="\t" if path.suffix == ".tsv" else ",")
    return pa.csv.read_csv(path, parse_options=options)


@pytest.fixture(params=FORMATS)
def extension(request) -> str:
    return request.param


@pytest.fixture(scope="session")
def tables() -> SimpleNamespace:
    return SimpleNamespace(write=write_table, read=read_table)


@pytest.fixture
def data(tmp_path, toy_texts, toy_labels) -> Callable[..., Path]:
    """Write the toy texts to a file, the text column neither first nor alone."""

    def write(name: str = "data.csv", **changed: list | None) -> Path:
        columns = {
            "number": [*range(48)],
            "text": toy_texts,
            "label": toy_labels,
            "by": ["me"] * 48,
        }
        columns = {name: values for name, values in (columns | changed).items() if values}
        return write_table(tmp_path / name, columns)

    return write


@pytest.fixture(scope="session")
def fitted(tiny_encoder, toy_texts, toy_labels) -> FusionClassifier:
    options = {"head": "ridge", "device": "cpu", "cache": None, "progress": False}
    return FusionClassifier([tiny_encoder], **options).fit(toy_texts, toy_labels)


@pytest.fixture(scope="session")
def saved(fitted, tmp_path_factory) -> Path:
    """Save it to a folder that tests only read."""
    folder = tmp_path_factory.mktemp("saved") / "classifier"
    fitted.save(folder)
    return folder


@pytest.fixture
def run(monkeypatch, capsys) -> Callable[..., SimpleNamespace]:
    """Run the command line in this process; give its exit code, output and errors."""
    from layerfuse.cli.app import main

    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")

    def call(*arguments: object, stdin: Iterable[bytes] | None = b"") -> SimpleNamespace:
        monkeypatch.setattr(sys, "argv", ["layerfuse", *map(str, arguments)])
        lines = io.BytesIO(stdin) if isinstance(stdin, bytes) else stdin
        opened = None if lines is None else SimpleNamespace(buffer=lines)
        monkeypatch.setattr(sys, "stdin", opened)
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return SimpleNamespace(code=end.value.code or 0, out=out, err=err)

    return call
