"""``layerfuse compare``: one table, one document, three files, and mistakes reported early."""

import json

import pytest

from layerfuse.cli import compare
from layerfuse.report import Report


@pytest.fixture
def files(toy, tmp_path):
    """Write train.csv, with an author for every two texts, and test.csv."""
    for name, seed, n_texts in (("train", 0, 40), ("test", 1, 20)):
        rows = zip(*toy(n_texts, seed=seed), strict=True)
        lines = [f"{text},{label},author{i // 2}" for i, (text, label) in enumerate(rows)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label,author", *lines]) + "\n")
    return tmp_path / "train.csv", tmp_path / "test.csv"


@pytest.fixture
def arguments(files, tiny_encoder):
    train, _ = files
    return ["compare", "--train", str(train), "--backbone", str(tiny_encoder), "--device", "cpu",
            "--no-cache", "--no-costs", "--seeds", "1"]  # fmt: skip


def test_a_comparison_prints_a_table_and_writes_a_report(run, arguments, files, tmp_path):
    folder = tmp_path / "report"
    done = run(*arguments, "--test", str(files[1]), "--out", str(folder))
    assert done.code == 0, done.err
    for row in ("logistic regression", "encoder, last layer", "layerfuse"):
        assert row in done.out
    assert {path.name for path in folder.iterdir()} == {"report.html", "report.json", "report.md"}
    assert Report.load(folder).data.n_test == 20


def test_json_is_one_document(run, arguments, files):
    done = run(*arguments, "--test", str(files[1]), "--json")
    document = json.loads(done.out)
    assert document["data"]["n_train"] == 40
    assert 0 <= document["result"]["accuracy"] <= 1


def test_without_a_test_file_texts_are_cross_validated(run, arguments):
    done = run(*arguments, "--folds", "2", "--group-column", "author", "--json")
    document = json.loads(done.out)
    assert document["data"]["n_test"] == document["data"]["n_train"] == 40
    assert document["data"]["n_folds"] == 2


def test_a_share_can_be_held_out_instead_and_groups_stay_together(run, arguments, files):
    done = run(*arguments, "--test-share", "0.25", "--group-column", "author", "--json")
    document = json.loads(done.out)
    assert document["data"]["n_train"] + document["data"]["n_test"] == 40
    assert document["data"]["n_test"] == 10
    assert "held out as test texts (seed 0)" in done.err


def test_groups_may_be_integers_that_a_table_stores_as_floats(run, tables, toy, tmp_path):
    texts, labels = toy(24)
    columns = {"text": texts, "label": labels, "author": [i // 2 * 1.0 for i in range(24)]}
    train = tables.write(tmp_path / "train.parquet", columns)
    done = run("compare", "--train", train, "-b", "nowhere", "--group-column", "author")
    assert "nowhere" in done.err.splitlines()[-1]  # the groups were accepted before this error
    columns["author"][3] = None
    tables.write(train, columns)
    done = run("compare", "--train", train, "-b", "nowhere", "--group-column", "author")
    assert "column 'author': the group is missing in 1 of 24 data rows: 4." in done.err


def test_a_class_without_training_texts_is_refused(run, files):
    """Both texts of the class have the same author, who is held out under some seeds."""
    train, _ = files
    train.write_text(train.read_text() + "word1,rare,x\nword2,rare,x\n")
    options = ["--train", train, "-b", "nowhere", "--test-share", "0.5", "--group-column", "author"]
    told = [run("compare", *options, "--seed", seed).err.splitlines()[-1] for seed in range(4)]
    lost = [one for one in told if "no training text of class 'rare' is left" in one]
    assert 0 < len(lost) < 4
    assert all("Try another --seed" in one for one in lost)


@pytest.mark.parametrize(
    ("train", "name"),
    [(".", "v1.0"), ("../v1.0", "v1.0"), ("train.csv", "train"), ("a/reviews.v2", "reviews.v2")],
)
def test_the_name_of_the_data_comes_from_their_source(tmp_path, monkeypatch, train, name):
    (tmp_path / "v1.0").mkdir()
    monkeypatch.chdir(tmp_path / "v1.0")
    assert compare._name(train) == name


def test_a_folder_given_as_test_data_is_read_at_its_test_split(run, arguments, files):
    done = run(*arguments, "--test", str(files[1].parent), "--json")
    assert json.loads(done.out)["data"]["n_test"] == 20


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--test", "{test}", "--group-column", "author"], "leave it out with --test"),
        (["--test", "{test}", "--test-share", "0.5"], "--test-share splits --train"),
        (["--folds", "30"], "Use fewer folds"),
        (["--folds", "3", "--test", "{test}"], "--folds cross-validates"),
        (["--fusion", "blend"], "blend"),
        (["--criterion", "loo_ridge", "--criterion", "blend"], "blend"),
        (["--out", "{test}"], "is a file"),
        (["--group-column", "writer"], "--group-column='writer', but"),
        (["--test", "movie-reviews"], "movie-reviews has no test split"),
        (["--test-share", "0.01"], "cannot be split with 1% held out"),
    ],
)
def test_mistakes_are_reported_in_one_line(run, arguments, files, more, message):
    done = run(*arguments, *(one.format(test=files[1]) for one in more))
    assert done.code == 2
    assert message in done.err.splitlines()[-1]
    assert not done.out


@pytest.mark.parametrize("column", ["text", "label"])
def test_other_columns_of_a_test_file_are_named_in_the_error(run, arguments, files, column):
    files[1].write_text(files[1].read_text().replace(column, f"my {column}", 1))
    done = run(*arguments, "--test", str(files[1]))
    assert done.code == 2
    last = done.err.splitlines()[-1]
    assert f"test.csv: there is no column {column!r}, from which the {column}s of " in last
    assert "train.csv were read. Columns: " in last
    assert "same column names in both" in last


def test_labels_that_are_all_numbers_in_one_file_only_are_read_as_strings(run, files, tiny_encoder):
    """The training texts have a further class that is no number, so all labels are strings."""
    for file, more in zip(files, ("calm1 loud1,n/a,x\n" * 2, ""), strict=True):
        text = file.read_text().replace(",calm,", ",1,").replace(",loud,", ",2,")
        file.write_text(text + more)
    done = run("compare", "--train", files[0], "--test", files[1], "-b", tiny_encoder,
               "--device", "cpu", "--no-cache", "--no-costs", "--json")  # fmt: skip
    assert done.code == 0, done.err
    assert [one["label"] for one in json.loads(done.out)["classes"]] == ["1", "2", "n/a"]


def test_seeds_wrap_around_after_the_largest(run, arguments, files):
    last = str(2**32 - 1)
    done = run(*arguments[:-1], "2", "--seed", last, "--test", str(files[1]), "--json")
    assert json.loads(done.out)["seeds"]["seeds"] == [2**32 - 1, 0]
