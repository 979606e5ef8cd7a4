"""``layerfuse predict``: a line per text in order, or the whole table with two more columns."""

import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from layerfuse import FusionClassifier

EXTENSIONS = (".csv", ".tsv", ".jsonl", ".parquet")


@pytest.mark.parametrize("output", EXTENSIONS)
def test_a_table_keeps_columns_and_order(
    run, data, saved, fitted, tables, toy_texts, tmp_path, extension, output
):
    file, out = data(f"data{extension}"), tmp_path / f"out{output}"
    done = run("predict", saved, file, "--output", out)
    before, after = tables.read(file), tables.read(out)

    assert (done.code, done.out) == (0, "")
    assert done.err.splitlines() == [f"texts from {file}, column 'text'"]
    assert after.column_names == [*before.column_names, "prediction", "probability"]
    for name in before.column_names:
        written = after.column(name).to_pylist()
        assert list(map(str, written)) == list(map(str, before.column(name).to_pylist()))
    assert after.column("prediction").to_pylist() == fitted.predict(toy_texts).tolist()
    assert after.column("probability").to_pylist() == pytest.approx(
        fitted.predict_proba(toy_texts).max(1).tolist(), abs=1e-9
    )


def test_every_line_is_predicted_in_order_including_empty_ones(run, saved, fitted):
    lines = ["loud1 loud2 loud3", "", "calm1 calm2", "   ", "loud4 \N{SNOWMAN}", "calm7 loud1"]
    done = run("predict", saved, stdin="\n".join(lines).encode())  # no line break at the end
    probabilities = fitted.predict_proba(lines)

    assert done.code == 0
    assert done.err == ""
    assert done.out.splitlines() == [
        f"{label}\t{p:.4f}"
        for label, p in zip(fitted.predict(lines), probabilities.max(1), strict=True)
    ]
    assert {line.split("\t")[0] for line in done.out.splitlines()} == {"calm", "loud"}


def test_windows_line_ends_are_not_part_of_a_text(run, saved):
    texts = b"loud1 loud2", b"", b"calm1"
    unix = run("predict", saved, "-", stdin=b"".join(text + b"\n" for text in texts))
    windows = run("predict", saved, "-", stdin=b"".join(text + b"\r\n" for text in texts))

    assert windows.out == unix.out
    assert len(unix.out.splitlines()) == 3


def test_blanks_around_a_text_are_kept(run, saved, monkeypatch):
    seen: list[str] = []
    predict_proba = FusionClassifier.predict_proba

    def noted(self, batch):
        seen.extend(batch.to_pylist())
        return predict_proba(self, batch)

    monkeypatch.setattr(FusionClassifier, "predict_proba", noted)
    run("predict", saved, stdin="  calm1\t\n\x0cloud1 \u2028 loud2\n".encode())

    assert seen == ["  calm1\t", "\x0cloud1 \u2028 loud2"]


@pytest.mark.parametrize("file", [None, "-", "empty.csv"])
@pytest.mark.parametrize("output", [True, False])
def test_input_without_texts_is_refused_and_writes_nothing(run, saved, tmp_path, file, output):
    (tmp_path / "empty.csv").write_text("text\n")
    source = [tmp_path / file if file == "empty.csv" else file] if file else []
    options = ["-o", tmp_path / "out.csv"] if output else []
    done = run("predict", saved, *source, *options, stdin=b"")

    assert (done.code, done.out) == (2, "")
    assert re.search(r"^layerfuse: error: .* empty: it holds no", done.err)
    assert [path.name for path in tmp_path.iterdir()] == ["empty.csv"]


def test_with_json_each_line_is_one_object(run, data, saved, fitted, toy_texts):
    done = run("predict", saved, data("data.parquet"), "--json")
    rows = [json.loads(line) for line in done.out.splitlines()]

    assert [row["text"] for row in rows] == toy_texts
    assert [row["prediction"] for row in rows] == fitted.predict(toy_texts).tolist()
    assert list(rows[0]) == ["number", "text", "label", "by", "prediction", "probability"]
    assert rows[5]["number"] == 5
    assert 0.5 <= rows[0]["probability"] <= 1


def test_json_has_null_for_values_that_are_not_finite(run, saved, tmp_path):
    columns = {"text": ["loud1", "calm1"], "x": [float("nan"), 0.1], "at": [[float("inf")], None]}
    pq.write_table(pa.table(columns), tmp_path / "numbers.parquet")
    done = run("predict", saved, tmp_path / "numbers.parquet", "--json")
    rows = [json.loads(line, parse_constant=pytest.fail) for line in done.out.splitlines()]

    assert [(row["x"], row["at"]) for row in rows] == [(None, [None]), (0.1, None)]


def test_lines_are_predicted_in_batches_as_they_arrive(run, saved, toy, monkeypatch):
    texts, topics = toy(2500, seed=5)
    sizes: list[int] = []
    done_before: list[int] = []
    predict_proba = FusionClassifier.predict_proba

    def counted(self, batch):
        sizes.append(len(batch))
        return predict_proba(self, batch)

    def lines():
        for text in texts:
            done_before.append(sum(sizes))
            yield text.encode() + b"\n"

    monkeypatch.setattr(FusionClassifier, "predict_proba", counted)
    done = run("predict", saved, stdin=lines())
    predicted = [line.split("\t")[0] for line in done.out.splitlines()]

    assert sizes == [1024, 1024, 452]
    assert [done_before[row] for row in (1023, 1024, 2048)] == [0, 1024, 2048]
    assert predicted == FusionClassifier.load(saved).predict(texts).tolist()
    assert sum(p == topic for p, topic in zip(predicted, topics, strict=True)) > 2000


def test_the_text_column_can_be_named_by_an_option(run, data, saved, fitted, toy, toy_texts):
    others, _ = toy(48, seed=2)
    file = data("two.jsonl", other=others)
    done = run("predict", saved, file, "--text-column", "other")

    assert f"column {'other'!r}" in done.err
    assert [line.split("\t")[0] for line in done.out.splitlines()] == fitted.predict(
        others
    ).tolist()


def test_the_text_column_of_the_training_data_is_the_default(
    run, data, tiny_encoder, fitted, toy_texts, tmp_path
):
    noise = ["nothing of use here"] * 48
    file, folder = data("two.csv", title=toy_texts, text=noise), tmp_path / "out"
    model = "-b", tiny_encoder, "--no-cache", "--no-lexical"
    assert run("fit", file, *model, "-o", folder, "--text-column", "title").code == 0
    FusionClassifier.load(folder).save(folder)
    done = run("predict", folder, file)
    other = run("predict", folder, data())

    assert done.err.splitlines() == [f"texts from {file}, column 'title'"]
    assert [line.split("\t")[0] for line in done.out.splitlines()] == fitted.predict(
        toy_texts
    ).tolist()
    assert other.err.splitlines()[0].endswith(
        "column 'text'; the classifier was fitted on column 'title'"
    )
    assert "column 'text'" in run("predict", folder, file, "--text-column", "text").err


def test_standard_input_that_is_not_utf8_is_refused_with_its_line(run, saved):
    done = run("predict", saved, stdin=b"calm1\nloud\xff\n")

    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines() == [
        "layerfuse: error: Standard input, line 2: not UTF-8 (invalid start byte)."
    ]


def test_a_failure_in_a_later_batch_leaves_no_output(run, saved, tables, tmp_path):
    texts = ["calm1"] * 1500 + [None] + ["loud1"] * 10
    file = tables.write(tmp_path / "data.parquet", {"text": texts})
    (tmp_path / "out.csv").write_text("precious")
    done = run("predict", saved, file, "-o", tmp_path / "out.csv")

    assert done.code == 2
    assert "data row 1501" in done.err.splitlines()[-1]
    assert (tmp_path / "out.csv").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.parquet", "out.csv"]


def test_ctrl_c_leaves_no_output(run, data, saved, tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(FusionClassifier, "predict_proba", interrupt)
    done = run("predict", saved, data(), "-o", tmp_path / "out.csv")

    assert done.code == 130
    assert "Traceback" not in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]


def test_predict_changes_neither_the_cache_nor_the_classifier(run, data, saved, cache_folder):
    before = {path: path.stat().st_mtime_ns for path in saved.rglob("*")}
    assert run("predict", saved, data(), "--offline", "--no-progress").code == 0

    assert list(cache_folder.iterdir()) == []
    assert {path: path.stat().st_mtime_ns for path in saved.rglob("*")} == before


def test_a_byte_order_mark_is_not_part_of_the_first_text(run, saved):
    plain, marked = (
        run("predict", saved, "--json", stdin=mark + b"loud1\ncalm1\n")
        for mark in (b"", b"\xef\xbb\xbf")
    )
    assert marked.out == plain.out


def test_timestamps_finer_than_those_of_python_are_kept(run, saved, tmp_path):
    times = pa.array([1_700_000_000_123_456_789], pa.timestamp("ns"))
    pq.write_table(pa.table({"text": ["loud1"], "at": times}), tmp_path / "ns.parquet")
    assert run("predict", saved, tmp_path / "ns.parquet").code == 0
    line = json.loads(run("predict", saved, tmp_path / "ns.parquet", "--json").out)
    assert line["at"] == "2023-11-14 22:13:20.123456789"


@pytest.mark.parametrize(
    ("name", "said"), [("out.parquet", "is a folder"), ("out.xyz", "unknown extension")]
)
def test_an_invalid_output_is_refused_before_anything_is_loaded(run, tmp_path, data, name, said):
    (tmp_path / "out.parquet").mkdir()
    done = run("predict", tmp_path / "no-classifier", data(), "-o", tmp_path / name)
    assert done.code == 2
    assert said in done.err


@pytest.mark.parametrize("name", ["in/train.csv", "in/../in/train.csv", "link.csv", "hard.csv"])
@pytest.mark.parametrize("whole_folder", [False, True])
def test_the_input_file_is_refused_as_output(run, data, tmp_path, name, whole_folder):
    """Checked before anything is loaded: there is no classifier."""
    (tmp_path / "in").mkdir()
    file = data("in/train.csv")
    (tmp_path / "link.csv").symlink_to(file)
    (tmp_path / "hard.csv").hardlink_to(file)
    before = file.read_bytes()
    source = file.parent if whole_folder else file
    done = run("predict", tmp_path / "no-classifier", source, "-o", tmp_path / name)
    assert (done.code, done.out) == (2, "")
    said = f"layerfuse: error: --output {tmp_path / name} is the file that is read. Name another."
    assert done.err.splitlines() == [said]
    assert file.read_bytes() == before
    assert len(list(file.parent.iterdir())) == 1


def test_an_output_file_beside_the_input_is_replaced(run, data, saved, tables, tmp_path):
    """Even if both have the same bytes."""
    file, other = data("data.csv"), data("other.csv")
    assert run("predict", saved, file, "-o", other).code == 0
    assert "prediction" in tables.read(other).column_names
    assert run("predict", saved, "-", "-o", other, stdin=b"loud1\n").code == 0
    assert tables.read(other).column_names == ["text", "prediction", "probability"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--text-column", "text"], "--text-column is for files"),
        (["--json", "--output", "out.csv"], "--json is for standard output"),
    ],
)
def test_options_without_effect_are_refused(run, saved, options, said):
    done = run("predict", saved, *options, stdin=b"loud1\n")
    assert done.code == 2
    assert said in " ".join(done.err.split())
