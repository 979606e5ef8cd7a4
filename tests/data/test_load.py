"""All formats give the same texts and labels; columns are found or a clear error says why not."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from layerfuse.core.errors import DataError, LabelError, MissingExtraError
from layerfuse.data import (
    LabelledTextData,
    TableWriter,
    TextData,
    iter_batches,
    load_texts,
    with_predictions,
)
from layerfuse.data.formats import read_file

Put = Callable[..., Path]

TEXTS = ["a, b", 'said "no"', "line\none", "", "Grüße 😀", "007"]
LABELS = ["x", "y", "x", "y", "x", "y"]

FILES = {
    ".csv": 'text,label\n"a, b",x\n"said ""no""",y\n"line\none",x\n,y\nGrüße 😀,x\n007,y\n',
    ".tsv": 'text\tlabel\na, b\tx\n"said ""no"""\ty\n"line\none"\tx\n\ty\nGrüße 😀\tx\n007\ty\n',
    ".jsonl": (
        '{"text": "a, b", "label": "x"}\n{"text": "said \\"no\\"", "label": "y"}\n\n'
        '{"text": "line\\none", "label": "x"}\n{"label": "y", "text": ""}\n'
        '{"text": "Grüße 😀", "label": "x"}\n{"text": "007", "label": "y"}'
    ),
}
FILES[".ndjson"] = FILES[".jsonl"]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    def write(name: str, content: str | bytes, encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


def parquet(tmp_path: Path, name: str = "t.parquet", **columns: Any) -> Path:
    pq.write_table(pa.table(columns), tmp_path / name)
    return tmp_path / name


@pytest.mark.parametrize("extension", [*FILES, ".CSV"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_text_formats(put: Put, extension: str, encoding: str, newline: str) -> None:
    content = FILES[extension.lower()].replace("\n", newline)
    data = load_texts(put(f"t{extension}", content, encoding))
    inside = "\n" if "json" in extension else newline
    assert data.texts == [text.replace("\n", inside) for text in TEXTS]
    assert data.labels.tolist() == LABELS
    assert (data.text_column, data.label_column) == ("text", "label")
    assert data.source.endswith(f"t{extension}")


def test_parquet_with_categories_and_large_strings(tmp_path: Path) -> None:
    path = parquet(
        tmp_path,
        text=pa.array(TEXTS, pa.large_string()),
        label=pa.array(LABELS).dictionary_encode(),
    )
    data = load_texts(str(path))
    assert data.texts == TEXTS
    assert data.labels.tolist() == LABELS


def test_a_text_column_of_categories(tmp_path: Path) -> None:
    path = parquet(tmp_path, text=pa.array(["a", "b", "a"]).dictionary_encode(), label=[1, 2, 1])
    assert load_texts(path).texts == ["a", "b", "a"]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "0", "-3"], [1, 0, -3]),
        (["01", "2", "3"], ["01", "2", "3"]),
        (["1", "two", "3"], ["1", "two", "3"]),
        (["1.0", "2.0", "1.0"], ["1.0", "2.0", "1.0"]),
        (["True", "False", "True"], ["True", "False", "True"]),
        (["-0", "1", "2"], ["-0", "1", "2"]),
        (["9" * 30, "1", "2"], ["9" * 30, "1", "2"]),
    ],
)
def test_types_of_csv_labels(put: Put, cells: list[str], expected: Any) -> None:
    data = load_texts(put("t.csv", "text,label\n" + "".join(f"t,{cell}\n" for cell in cells)))
    assert data.labels.tolist() == expected
    assert data.labels.dtype.kind == ("i" if isinstance(expected[0], int) else "U")


@pytest.mark.parametrize("labels", [[1, 0, 1], [True, False, True], ["01", "1", "0"]])
def test_types_of_typed_labels_are_kept(tmp_path: Path, put: Put, labels: Any) -> None:
    path = parquet(tmp_path, text=["a", "b", "c"], label=labels)
    rows = pq.read_table(path).to_pylist()
    lines = put(
        "t.jsonl",
        "\n".join(str(row).replace("'", '"').replace("T", "t").replace("F", "f") for row in rows),
    )
    for source in (path, lines):
        got = load_texts(source).labels
        assert got.tolist() == labels
        assert got.dtype.kind == np.array(labels).dtype.kind


def test_numbers_named_as_texts_stay_as_written(put: Put) -> None:
    path = put("t.csv", "n,label\n007,a\n1.50,b\n")
    assert load_texts(path, text_column="n").texts == ["007", "1.50"]


def test_a_text_longer_than_the_limit_of_the_csv_module(put: Put) -> None:
    long = "word " * 60_000
    assert load_texts(put("t.csv", f"text,label\n{long},a\n")).texts == [long]


def test_not_labelled(put: Put) -> None:
    data = load_texts(put("t.csv", "text,label\na,\n"), labelled=False)
    assert (data.texts, data.labels, data.label_column) == (["a"], None, None)


def test_label_column_without_labels_contradicts(put: Put) -> None:
    with pytest.raises(DataError, match=r"label_column='label', but labelled=False"):
        load_texts(put("t.csv", "text,label\na,\n"), labelled=False, label_column="label")


def test_blank_lines_are_no_rows_but_quoted_empties_are(put: Put) -> None:
    assert load_texts(put("t.csv", 'text\na\n\n""\nb\n'), labelled=False).texts == ["a", "", "b"]


# Columns


@pytest.mark.parametrize(
    ("header", "text", "label"),
    [
        ("id,Sentence,Category", "Sentence", "Category"),
        ("label,id,phrase", "phrase", "label"),
        ("sentiment,review,id", "review", "sentiment"),
        ("y,phrase,id", "phrase", "y"),
    ],
)
def test_guesses(put: Put, header: str, text: str, label: str) -> None:
    values = {"label": "positive", "category": "positive", "sentiment": "positive", "y": "1"}
    names = header.split(",")
    cells = [values.get(name.lower(), "123456789" if name == "id" else "so good") for name in names]
    data = load_texts(put("t.csv", f"{header}\n{','.join(cells)}\n"))
    assert (data.text_column, data.label_column) == (text, label)


def test_the_longest_column_must_be_longest_by_far(put: Put) -> None:
    path = put("t.csv", "premise,hypothesis,label\nit rains,it pours,1\n")
    with pytest.raises(
        DataError,
        match=r"texts; 'premise', 'hypothesis' are about equally long\. Columns: 'premise' "
        r"\(string\).*text_column=NAME\.$",
    ):
        load_texts(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,sentence,label\na,b,1\n", "'text', 'sentence' all could.*text_column="),
        ("id,label\n1,2\n", r"texts; no column of strings could.*'id' \(string\).*text_column="),
        ("text,score\na,1\n", r"labels; none has a usual name.*'score'.*label_column="),
        ("text,label,class\na,1,2\n", "'label', 'class' all could.*label_column="),
        ("text,label,text\na,1,b\n", "has 2 columns named 'text'"),
    ],
)
def test_undecided_columns(put: Put, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_texts(put("t.csv", content))


@pytest.mark.parametrize(
    ("name", "mark"),
    [("t.csv", ";"), ("t.csv", "\t"), ("t.csv", "|"), ("t.tsv", ";"), ("t.tsv", ",")],
)
def test_a_column_that_is_several(put: Put, name: str, mark: str) -> None:
    path = put(name, f'"text{mark}label"\n"so good{mark}1"\n')
    with pytest.raises(DataError, match=r"the only column is .*, which looks like several"):
        iter_batches(path)
    assert iter_batches(path, f"text{mark}label").text_column == f"text{mark}label"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "text;label\nso good, really;1\n"),
        ("t.csv", "id\ttext\tlabel\n1\tso good\t1\n2\tbad, bad\t0\n"),
        ("t.csv", 'text;label\n"so good";1\n'),
        ("t.tsv", 'text,label\n"so good",1\n'),
        ("t.tsv", "text,label\nso\tgood,1\n"),
    ],
)
def test_another_delimiter_is_named_also_if_rows_contain_the_expected_one(
    put: Put, name: str, content: str
) -> None:
    with pytest.raises(DataError, match=r"the only column is .*, which looks like several.*Save"):
        load_texts(put(name, content))


def test_a_usual_column_is_taken_where_there_is_one(put: Put) -> None:
    path = put("t.csv", "text,title\na,b\n")
    columns = [iter_batches(path, usual_column=usual).text_column for usual in ("title", "x")]
    assert columns == ["title", "text"]
    assert iter_batches(path, "text", usual_column="title").text_column == "text"


def test_named_columns_win_over_usual_names(put: Put) -> None:
    path = put("t.csv", "text,label,title,genre\na,1,b,x\n")
    data = load_texts(path, text_column="title", label_column="genre")
    assert (data.texts, data.labels.tolist()) == (["b"], ["x"])


def test_a_named_label_column_is_not_guessed_as_text(put: Put) -> None:
    path = put("t.csv", "question,sentence\nq,s\n")
    assert load_texts(path, label_column="question").text_column == "sentence"


@pytest.mark.parametrize("option", ["text_column", "label_column"])
def test_unknown_column(put: Put, option: str) -> None:
    path = put("t.csv", "text,label\na,1\n")
    with pytest.raises(
        DataError,
        match=rf"^{option}='labl', but .*no such column. Columns: 'text', 'label'.*mean 'label'",
    ):
        load_texts(path, **{option: "labl"})


def test_one_column_cannot_be_both(put: Put) -> None:
    with pytest.raises(DataError, match=r"'text' cannot hold both"):
        load_texts(put("t.csv", "text,label\na,1\n"), label_column="text", text_column="text")


def test_text_column_of_numbers_in_a_typed_file(tmp_path: Path) -> None:
    path = parquet(tmp_path, text=[1, 2], label=[0, 1])
    with pytest.raises(DataError, match=r"text column 'text' holds int64, expected strings"):
        load_texts(path, text_column="text")


# Missing values


@pytest.mark.parametrize("cell", ["", "NaN", "nan", "  "])
def test_missing_csv_label(put: Put, cell: str) -> None:
    path = put("t.csv", f'text,label\n"two\nlines",1\nb,{cell}\nc,2\n')
    with pytest.raises(
        LabelError, match=r"t.csv, column 'label': the label is missing in 1 of 3 data rows: 2\."
    ):
        load_texts(path)


def test_labels_that_differ_in_blanks_are_told(put: Put) -> None:
    path = put("t.csv", "text,label\na,calm\nb,calm \nc,loud\n")
    with pytest.warns(UserWarning, match=r"t.csv, .*: 'calm', 'calm ' differ only in the blanks"):
        assert load_texts(path).labels.tolist() == ["calm", "calm ", "loud"]


@pytest.mark.parametrize("labels", [[1, None, 2], [1.0, float("nan"), 2.0], ["a", "", "b"]])
def test_missing_parquet_label(tmp_path: Path, labels: Any) -> None:
    path = parquet(tmp_path, text=["a", "b", "c"], label=labels)
    with pytest.raises(LabelError, match=r"missing in 1 of 3 data rows: 2\."):
        load_texts(path)


def test_float_labels(tmp_path: Path) -> None:
    path = parquet(tmp_path, text=["a", "b"], label=[1.0, 2.0])
    with pytest.raises(LabelError, match=r"all bool, got float \(data row 1\)"):
        load_texts(path)


@pytest.mark.parametrize("key", ['"text": null, ', "", '"text": null, "more": 1, '])
def test_null_text_in_a_later_batch(put: Put, key: str) -> None:
    line = '{"text": "a", "label": 1}\n'
    path = put("t.jsonl", line * 5000 + f'{{{key}"label": 1}}\n')
    with pytest.raises(
        DataError, match=r"data row 5001: column 'text' holds null, expected a text"
    ):
        load_texts(path)


def test_nothing_but_null_texts(put: Put) -> None:
    path = put("t.jsonl", '{"text": null, "label": 1}\n')
    with pytest.raises(DataError, match=r"data row 1: column 'text' holds null"):
        load_texts(path, text_column="text")


# Files that are not what they should be


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "t.csv",
            'text,label\na,1\n\n"b\nb",1\nc,1,2\n',
            r"data row 3 \(line 6\): expected 2 fields.*got 3",
        ),
        ("t.tsv", "text\tlabel\na\n", r"data row 1 \(line 2\): expected 2 fields.*got 1"),
        ("t.csv", 'text,label\na,1\n"b,1\nc,1\n', "t.csv, line 4: unexpected end of data"),
        ("t.csv", 'text,label\n"it" is,1\n', "t.csv, line 2: ',' expected after"),
        (
            "t.csv",
            "text,label\na,1\nGrüße,1\n".encode("latin-1"),
            r"t.csv, line 3, byte 3 of the line: not UTF-8 \(0xfc\)",
        ),
        ("t.csv", "text,label\ra,1\rb,2\r", "line 1: a carriage return without a line feed, as in"),
        ("t.csv", "text,label\na,1\n".encode("utf-16"), r"line 1, byte 1 of the line: not UTF-8"),
        ("t.jsonl", b'{"text": "a"}\n{"text": "\xff"}\n', "line 2, byte 11 of the line: not UTF-8"),
        ("t.jsonl", '{"text": "a"}\n\n{"text": \n', "line 3: invalid JSON.*one object per line"),
        ("t.jsonl", '["a"]\n', "line 1: expected a JSON object, got list"),
        (
            "t.jsonl",
            '{"text": "a"}\n{"text": 1}\n',
            r"'text' holds str \(data row 1\) and int \(data row 2\)",
        ),
        ("t.jsonl", '{"text": "a", "sentence": 1}\n{"text": 1}\n', "'text' holds str .* and int"),
        ("t.jsonl", f'{{"text": {"1" * 5000}}}', "line 1: invalid JSON"),
        ("t.parquet", "text,label\n", "t.parquet is not a readable parquet file"),
        ("t.csv", "", "t.csv is empty"),
        ("t.csv", "text,label\n", "t.csv is empty: it holds no data rows"),
        ("t.jsonl", "\n \n", "t.jsonl is empty"),
        ("t.json", "[]", r"unknown extension '.json'. Expected one of .csv, .tsv, .jsonl"),
        ("t", "a", "unknown extension ''"),
    ],
)
def test_bad_files(put: Put, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_texts(put(name, content), labelled=False)


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ('text\tlabel\n"a b\tx\nc d\ty\ne f"\tx\ng\ty\n', "data row 1 .lines 2 to 4. is ambiguous"),
        ('label\ttext\nx\ta\n\nx\t"b\ny\tc"\n', "data row 2 .lines 4 to 5."),
        ('text\tlabel\r\n"b\tx\r\n\r\nc"\ty\r\n', "data row 1 .lines 2 to 4."),
        ('text\t"label\na\tx"\nb\ty\n', "data row 0 .lines 1 to 2."),
    ],
)
def test_quotes_that_swallow_rows_of_tabs(put: Put, content: str, lines: str) -> None:
    with pytest.raises(DataError, match=rf"t.tsv, {lines}.*Save the file as .csv or .jsonl"):
        load_texts(put("t.tsv", content), labelled=False)


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("t.tsv", 'text\tlabel\n"a\n\nb"\tx\n"c\td"\ty\n', ["a\n\nb", "c\td"]),
        ("t.tsv", 'label\ttext\nx\t"a\tb\nc"\ny\td\n', ["a\tb\nc", "d"]),
        ("t.tsv", 'text\tlabel\n"""a\nb"""\tx\n"c"""\ty\n', ['"a\nb"', 'c"']),
        ("t.tsv", 'text\n"a\nb"\nc\n', ["a\nb", "c"]),
        ("t.csv", 'text,label\n"a,x\nb",x\nc,y\n', ["a,x\nb", "c"]),
    ],
)
def test_quoted_lines_that_are_no_rows(put: Put, name: str, content: str, texts: list[str]) -> None:
    assert load_texts(put(name, content), labelled=False).texts == texts


def test_a_file_that_goes_away(tmp_path: Path) -> None:
    batches = read_file(tmp_path / "gone.csv", 1)
    with pytest.raises(DataError, match=r"gone.csv cannot be read: No such file"):
        next(batches)


@pytest.mark.skipif(sys.platform == "win32", reason="needs named pipes")
def test_json_lines_from_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.jsonl")
    writer = os.open(tmp_path / "t.jsonl", os.O_RDWR)  # or opening would wait for one
    with pytest.raises(DataError, match=r"t\.jsonl is a pipe, which can be read only once"):
        load_texts(tmp_path / "t.jsonl")
    os.close(writer)


def test_empty_parquet(tmp_path: Path) -> None:
    path = parquet(tmp_path, text=pa.array([], pa.string()))
    with pytest.raises(DataError, match=r"t.parquet is empty"):
        load_texts(path, labelled=False)


@pytest.mark.parametrize("source", ["nowhere.csv", "no/where.csv", "a/b/c", "imdb"])
def test_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=rf"{source} is neither a file or folder, nor .*Looked in"):
        load_texts(source)


def test_an_empty_name_is_not_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train.csv").write_text("text,label\na,x\n")
    monkeypatch.chdir(tmp_path)
    assert list(load_texts(".").texts) == ["a"]
    with pytest.raises(DataError, match="The name of the data is empty"):
        load_texts("")


def test_a_file_has_no_splits(put: Put) -> None:
    with pytest.raises(DataError, match=r"split='test', but .*t.csv has no splits"):
        load_texts(put("t.csv", "text,label\na,1\n"), split="test")


# Folders


@pytest.fixture
def folder(put: Put, tmp_path: Path) -> Path:
    put("d/train.csv", "text,label\ntrain,1\n")
    put("d/test.jsonl", '{"text": "test", "label": 1}\n')
    put("d/dev.tsv", "text\tlabel\ndev\t1\n")
    put("d/README.md", "no table")
    return tmp_path / "d"


@pytest.mark.parametrize(
    ("split", "text"),
    [(None, "train"), ("train", "train"), ("test", "test"), ("dev", "dev"), ("validation", "dev")],
)
def test_splits_of_a_folder(folder: Path, split: str | None, text: str) -> None:
    data = load_texts(folder, split=split)
    assert data.texts == [text]
    assert f"{text}." in data.source


def test_a_split_that_is_not_there(folder: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"no split='extra'; it holds dev.tsv, test.jsonl, train.csv. Expected a .* extra",
    ):
        load_texts(folder, split="extra")


def test_a_split_that_is_there_twice(folder: Path) -> None:
    (folder / "train.tsv").write_text("text\tlabel\n")
    with pytest.raises(DataError, match=r"could be any of train.csv, train.tsv"):
        load_texts(folder)


def test_a_folder_of_several_tables_is_no_stream(folder: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"several tables: dev.tsv, test.jsonl, train.csv. Name one of them, such as .*tsv",
    ):
        iter_batches(folder)
    for name in ("dev.tsv", "test.jsonl"):
        (folder / name).unlink()
    assert iter_batches(folder).source.endswith("train.csv")


# Hub


def test_hub_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"'org/name' is not a file.*'layerfuse\[hub\]'"):
        load_texts("org/name")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for ``datasets``; what it gives was compared with the real package."""
    module = ModuleType("datasets")
    table = pa.table({"text": ["a", "b", "c"], "label": [1, 0, 1]})

    def load_dataset(name: str, split: str, download_config: Any) -> SimpleNamespace:
        if download_config is not None:
            assert download_config.local_files_only
            msg = "not cached"
            raise OSError(msg)
        if split == "none":
            msg = f"Unknown split {split} of {name}"
            raise ValueError(msg)
        batches = SimpleNamespace(
            iter=lambda batch_size: (table.slice(i, batch_size) for i in range(0, 3, batch_size))
        )
        return SimpleNamespace(with_format=lambda kind: {"arrow": batches}[kind])

    module.load_dataset = load_dataset
    module.DownloadConfig = SimpleNamespace
    monkeypatch.setitem(sys.modules, "datasets", module)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("hub")
def test_hub() -> None:
    data = load_texts("org/name", split="test")
    assert (data.texts, data.labels.tolist()) == (["a", "b", "c"], [1, 0, 1])
    assert data.source == "org/name"


@pytest.mark.usefixtures("hub")
def test_offline_the_hub_is_not_asked() -> None:
    with pytest.raises(DataError, match=r"org/name is not a file.*not cached"):
        load_texts("org/name", offline=True)
    with pytest.raises(DataError, match=r"org/name is not a file.*not cached"):
        iter_batches("org/name", offline=True)


@pytest.mark.usefixtures("hub")
def test_hub_error_is_ours() -> None:
    with pytest.raises(
        DataError, match=r"org/name is not a file.*split='none' failed: Unknown split"
    ):
        load_texts("org/name", split="none")


@pytest.mark.usefixtures("hub")
def test_an_existing_path_is_never_the_hub(put: Put) -> None:
    put("org/name", "a")
    with pytest.raises(DataError, match=r"unknown extension"):
        load_texts("org/name")


# Streams


@pytest.mark.parametrize("extension", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_stream_keeps_columns_rows_and_order(tmp_path: Path, put: Put, extension: str) -> None:
    rows = [{"id": f"0{i}", "text": f"t{i}", "more": "x"} for i in range(10)]
    if extension == ".parquet":
        path = parquet(tmp_path, **{key: [row[key] for row in rows] for key in rows[0]})
    elif extension == ".jsonl":
        path = put("t.jsonl", "\n".join(str(row).replace("'", '"') for row in rows))
    else:
        mark = "," if extension == ".csv" else "\t"
        path = put(
            f"t{extension}", "\n".join(mark.join(r) for r in [rows[0], *map(dict.values, rows)])
        )
    stream = iter_batches(path, batch_rows=4)
    batches = list(stream.batches)
    assert stream.text_column == "text"
    assert [batch.num_rows for batch in batches] == [4, 4, 2]
    assert [row for batch in batches for row in batch.to_pylist()] == rows


def test_stream_reads_only_what_is_asked_for(put: Put) -> None:
    stream = iter_batches(put("t.csv", "text\na\nb\nc\nragged,row\n"), batch_rows=2)
    assert next(stream.batches).column("text").to_pylist() == ["a", "b"]
    with pytest.raises(DataError, match=r"data row 4"):
        next(stream.batches)


def test_stream_finds_null_texts(tmp_path: Path) -> None:
    stream = iter_batches(parquet(tmp_path, text=["a", "b", None]), batch_rows=2)
    next(stream.batches)
    with pytest.raises(DataError, match=r"data row 3: column 'text' holds null"):
        next(stream.batches)


@pytest.mark.parametrize("name", ["prediction", "probability"])
def test_stream_refuses_columns_it_would_add(put: Put, name: str) -> None:
    with pytest.raises(DataError, match=rf"already has a column named '{name}'"):
        iter_batches(put("t.csv", f"text,{name}\na,b\n"))


def test_stream_types_and_later_keys_of_json_lines(put: Put) -> None:
    path = put(
        "t.jsonl", '{"text": "2020-01-01", "a": 1}\n{"a": 2.5, "text": "b"}\n{"text": "c", "z": []}'
    )
    one, two = iter_batches(path, batch_rows=2).batches
    assert one.schema.names == ["text", "a", "z"]
    assert one.schema == two.schema
    assert pc.sum(one.column("a")).as_py() == 3.5
    assert one.column("text").to_pylist() == ["2020-01-01", "b"]


def test_batch_rows_must_be_positive(put: Put) -> None:
    with pytest.raises(DataError, match=r"batch_rows=0"):
        iter_batches(put("t.csv", "text\na\n"), batch_rows=0)


def test_mixed_types_in_a_later_batch(put: Put) -> None:
    lines = ['{"text": "a"}'] * 3 + ['{"text": 1}']
    path = put("t.jsonl", "\n".join(lines))
    with pytest.raises(DataError, match=r"str \(data row 1\) and int \(data row 4\)"):
        iter_batches(path, batch_rows=2)


@pytest.mark.parametrize(
    ("one", "other"),
    [("5", "4.5"), ("5", '"x"'), ("{}", '{"ids": [1, "x"]}'), ("1", str(2**70)), ("true", "null")],
)
@pytest.mark.parametrize("batch_rows", [1, 2])
def test_values_of_any_types_beside_the_texts(
    put: Put, tmp_path: Path, one: str, other: str, batch_rows: int
) -> None:
    rows = [
        f'{{"text": "a", "label": 1, "x": {one}}}',
        f'{{"text": "b", "label": 2, "x": {other}}}',
    ]
    path = put("t.jsonl", "\n".join(rows))
    assert load_texts(path).labels.tolist() == [1, 2]
    for extension in (".jsonl", ".csv", ".parquet"):
        with TableWriter(tmp_path / f"out{extension}") as writer:
            for batch in iter_batches(path, batch_rows=batch_rows).batches:
                writer.write(with_predictions(batch, [1] * batch.num_rows, [1.0] * batch.num_rows))
    written = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(row)["x"] for row in written] == [json.loads(one), json.loads(other)]
    assert load_texts(tmp_path / "out.parquet").texts == ["a", "b"]


def test_labels_of_several_types_in_json_lines(put: Put) -> None:
    path = put("t.jsonl", '{"text": "a", "label": 1}\n{"text": "b", "label": "1"}\n')
    for named in (None, "label"):
        with pytest.raises(DataError, match=r"'label' holds int \(data row 1\) and str"):
            load_texts(path, label_column=named)


def test_a_large_integer_far_from_a_float_is_an_error(put: Put) -> None:
    path = put("t.jsonl", f'{{"text": "a", "x": {2**53 + 1}}}\n{{"text": "b", "x": 0.5}}')
    stream = iter_batches(path, batch_rows=2)
    assert next(stream.batches).column("x").to_pylist() == [str(2**53 + 1), "0.5"]
    with pytest.raises(DataError, match=r"from data row 1 on: column 'x': Integer value"):
        iter_batches(path, batch_rows=1)


def test_half_a_surrogate_pair_in_json_lines_is_replaced(put: Put) -> None:
    texts = r'"text": "\ud83d a \ude00\ud83d", "label": "\ud83d\ude00"'
    row = rf'{{{texts}, "\ud800": {{"\udfff": "\\ud800"}}}}'
    data = load_texts(put("t.jsonl", row))
    assert (data.texts, data.labels.tolist()) == (["\ufffd a \ufffd\ufffd"], ["\U0001f600"])
    (batch,) = iter_batches(put("t.jsonl", row)).batches
    assert batch.column("\ufffd").to_pylist() == [{"\ufffd": "\\ud800"}]


def test_labels_of_two_delimited_files_are_of_one_type(put: Put, tmp_path: Path) -> None:
    train = load_texts(put("train.csv", "text,label\na,1\nb,n/a\n"))
    test = load_texts(put("test.csv", "text,label\nc,1\n"))
    assert test.with_label_type_of(train).labels.tolist() == ["1"]
    assert train.with_label_type_of(test) is train
    assert test.with_label_type_of(test).labels.tolist() == [1]
    pq.write_table(pa.table({"text": ["c"], "label": [1]}), tmp_path / "t.parquet")
    typed = load_texts(tmp_path / "t.parquet")
    assert typed.with_label_type_of(train) is typed


def test_labels_of_a_delimited_file_are_bool_where_those_of_another_are(put: Put) -> None:
    typed = load_texts(put("t.jsonl", '{"text": "a", "label": true}'))
    plain = load_texts(put("t.csv", "text,label\na,True\nb,FALSE\nc,true\n"))
    other = load_texts(put("o.csv", "text,label\na,True\nb,no\n"))
    assert plain.with_label_type_of(typed).labels.tolist() == [True, False, True]
    assert other.with_label_type_of(typed) is other
    assert typed.with_label_type_of(plain) is typed


def test_data_of_many_texts_is_shown_in_one_line(put: Put) -> None:
    path = put("t.csv", "text,label\n" + "a long text,1\n" * 100)
    labelled, bare = load_texts(path), load_texts(path, labelled=False)
    assert repr(labelled) == f"<LabelledTextData: 100 texts of {path}, 'text' and 'label'>"
    assert repr(bare) == f"<TextData: 100 texts of {path}, 'text'>"
    assert type(labelled.with_label_type_of(bare)) is type(labelled)
    assert "None" in str(TextData.__annotations__["labels"])
    assert "None" not in str(LabelledTextData.__annotations__["labels"])  # so that checkers know
