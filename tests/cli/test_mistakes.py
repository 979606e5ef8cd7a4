"""A mistake of the user: exit code 2 and one line, whatever other libraries would print.

The commands run in another process one after the other, so that everything that reaches its file
descriptors is seen, not only what goes through ``sys.stderr`` of this one.
"""

import json
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

SERVER = """
import json, os, sys, tempfile
from layerfuse.cli import main

streams = {1: sys.stdout, 2: sys.stderr}
answers = os.dup(1)

def caught(arguments):
    files = {number: tempfile.TemporaryFile() for number in streams}
    for number, file in files.items():
        os.dup2(file.fileno(), number)
    sys.argv = ["layerfuse", *arguments]
    code = None
    try:
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        import traceback
        traceback.print_exc()
    texts = []
    for number, file in files.items():
        streams[number].flush()
        file.seek(0)
        texts.append(file.read().decode())
    return code, *texts

for line in sys.stdin:
    os.write(answers, (json.dumps(caught(json.loads(line))) + "\\n").encode())
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Run any number of commands in one other process."""
    import os

    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "LAYERFUSE_CACHE": str(tmp_path_factory.mktemp("server-cache")),
        "HF_HUB_CACHE": str(tmp_path_factory.mktemp("hub-cache")),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def call(*arguments: object) -> SimpleNamespace:
        process.stdin.write(json.dumps([*map(str, arguments)]) + "\n")
        process.stdin.flush()
        code, out, err = json.loads(process.stdout.readline())
        return SimpleNamespace(code=code, out=out, err=err)

    yield call
    process.stdin.close()
    process.wait(300)
    process.stdout.close()


@pytest.fixture
def refused(server):
    """Run a command that must be refused; give the one line."""

    def call(*arguments: object) -> str:
        done = server(*arguments)
        assert (done.code, done.out) == (2, ""), done.err
        assert len(done.err.splitlines()) == 1, done.err
        assert done.err.startswith("layerfuse: error: ")
        return done.err.removeprefix("layerfuse: error: ").rstrip()

    return call


@pytest.fixture
def fit(data, tiny_encoder, tmp_path):
    """Return a valid command, to which tests add a mistake."""
    return ["fit", data(), "-b", tiny_encoder, "-o", tmp_path / "out"]


def test_commands_without_a_mistake_succeed(server, fit, saved):
    for arguments in (fit, ["score", *fit[1:4]], ["predict", saved, fit[1]]):
        done = server(*arguments)

        assert done.code in {0, None}
        assert len(done.err.splitlines()) == 1  # the line of the guessed columns
        assert "column 'text'" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("fit x.csv --bogus", "No such option: --bogus"),
        ("fit x.csv -b model", "Missing option '--out'"),
        ("fit x.csv -o out", "Missing option '--backbone'"),
        ("fit -b model -o out", "Missing argument 'DATA'"),
        ("predict", "Missing argument 'DIR'"),
        ("score x.csv", "Missing option '--backbone'"),
        ("pedict", "No such command 'pedict'"),
        ("cache", "Missing command"),
        ("cache remove", "No such command 'remove'"),
        ("cache prune nobody", "nobody"),
        ("fit x.csv -b m -o out -k none", "Invalid value for '-k'"),
        ("fit x.csv -b m -o out -k 0", "Invalid value for '-k'"),
        ("fit x.csv -b m -o out --seed -1", "Invalid value for '--seed'"),
        ("fit x.csv -b m -o out --max-tokens 0", "Invalid value for '--max-tokens'"),
        ("cache prune --older-than-days=-1", "Invalid value for '--older-than-days'"),
        ("cache prune --older-than-days=nan", "Invalid value for '--older-than-days'"),
        ("demo --train 3", "Invalid value for '--train'"),
    ],
)
def test_a_wrong_command_line_is_refused(refused, arguments, said):
    assert said in refused(*arguments.split())


@pytest.mark.parametrize(
    ("option", "value", "nearest"),
    [
        ("criterion", "loo-ridge", "loo_ridge"),
        ("selector", "uper_half", "upper_half"),
        ("fusion", "concta", "concat"),
        ("head", "rigde", "ridge"),
        ("pooling", "maen", "mean"),
        ("dtype", "bfloat61", "bfloat16"),
    ],
)
def test_an_unknown_choice_suggests_the_nearest(refused, fit, option, value, nearest):
    line = refused(*fit, f"--{option}", value)

    assert line.startswith(f"{option}={value!r} is unknown. Choose one of: ")
    assert line.endswith(f"Did you mean {nearest!r}?")


def test_an_unknown_criterion_of_score_suggests_the_nearest(refused, data, tiny_encoder):
    assert "Did you mean 'probe'?" in refused(
        "score", data(), "-b", tiny_encoder, "--criterion", "prob"
    )


def test_a_missing_file_is_named(refused, fit, tmp_path):
    fit[1] = tmp_path / "absent.csv"

    assert f"{tmp_path / 'absent.csv'} is neither a file" in refused(*fit)


def test_an_unknown_file_extension_is_refused_with_the_known_ones(refused, fit, tmp_path):
    fit[1] = tmp_path / "data.xlsx"
    fit[1].write_text("x")

    assert "unknown extension '.xlsx'. Expected one of .csv" in refused(*fit)


def test_a_missing_column_suggests_the_nearest(refused, fit):
    assert "Did you mean 'text'?" in refused(*fit, "--text-column", "txt")
    assert "Did you mean 'label'?" in refused(*fit, "--label-column", "lable")


def test_columns_are_named_by_options_and_not_by_arguments_of_python(refused, fit, data):
    named = refused(*fit, "--text-column", "txt")
    fit[1] = data("unusual.csv", label=None, mood=["calm", "loud"] * 24)
    guessed = refused(*fit)

    assert "--text-column='txt', but" in named
    assert "Name it with --label-column=NAME." in guessed
    assert not re.search("(text|label)_column", named + guessed)


def test_a_study_names_columns_by_keys_of_its_file(refused, data, tmp_path):
    """It has no options for them."""
    texts = data()
    file = tmp_path / "study.toml"
    file.write_text(
        "backbones.any = ['any']\n"
        f"data.one = {{ train = '{texts}', test = '{texts}', text_column = 'txt' }}\n"
    )

    message = refused("study", file, "--out", tmp_path / "out")

    assert message.startswith("Data set 'one': text_column='txt', but ")


def test_labels_of_one_class_are_refused_with_file_and_column(refused, fit, data):
    fit[1] = data("one.csv", label=["calm"] * 48)

    line = refused(*fit)
    assert line.startswith(f"{fit[1]}, column 'label': Expected at least two classes")
    of_score = refused("score", fit[1], "-b", fit[3])
    assert of_score.startswith(f"{line} These criteria need no labels: ")


def test_a_second_class_of_one_text_is_refused_with_counts(refused, fit, data, toy_labels):
    fit[1] = data("rare.csv", label=["odd", *["even"] * len(toy_labels[1:])])

    assert "two classes of two texts or more, but 'odd' has 1, 'even' has 47." in refused(*fit)


def test_a_missing_label_is_refused_with_its_row(refused, fit, data, toy_labels):
    fit[1] = data("hole.jsonl", label=[*toy_labels[:2], None, *toy_labels[3:]])

    assert "the label is missing in 1 of 48 data rows: 3" in refused(*fit)


@pytest.mark.parametrize(
    "name", ["no-such-model", "no/such-model", "./nowhere", "/no/where/at/all"]
)
def test_an_unknown_backbone_is_refused_offline_by_name(refused, fit, name):
    line = refused(*fit[:2], "-b", name, "--offline", *fit[4:])

    assert name in line
    assert "was found neither as a local folder" in line or "does not exist" in line


def test_an_incomplete_backbone_folder_is_refused(refused, fit, new_encoder):
    folder = new_encoder()
    for name, said in {
        "tokenizer.json": "no tokenizer",
        "model.safetensors": "not a model folder",
    }.items():
        (folder / name).rename(folder / "away")
        assert said in refused(*fit[:2], "-b", folder, *fit[4:])
        (folder / "away").rename(folder / name)
    (folder / "model.safetensors").write_bytes(b"garbage!" * 10)
    assert "cannot be loaded" in refused(*fit[:2], "-b", folder, *fit[4:])


def test_a_backbone_given_twice_is_refused(refused, fit):
    assert "is given twice" in refused(*fit, "-b", fit[3])


def test_an_unavailable_device_is_refused(refused, fit):
    assert "device='abacus' cannot be used" in refused(*fit, "--device", "abacus")


def test_a_k_above_the_number_of_layers_is_refused(server, fit):
    done = server(*fit, "--selector", "best", "-k", "9")

    assert done.code == 2
    assert "k=9, but there are 8 layers in encoder." in done.err.splitlines()[-1]
    assert "Traceback" not in done.err


def test_an_output_folder_with_other_files_is_refused_and_left_unchanged(refused, fit, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("precious")

    assert "not part of a saved classifier: notes.txt" in refused(*fit)
    assert "not part of a saved classifier: notes.txt" in refused("demo", "--out", tmp_path / "out")
    assert (tmp_path / "out" / "notes.txt").read_text() == "precious"


def test_an_output_folder_that_cannot_be_created_is_refused(refused, fit, tmp_path):
    (tmp_path / "file").write_text("x")
    fit[5] = tmp_path / "file" / "out"

    assert f"{fit[5]} cannot be created" in refused(*fit)


def test_predict_refuses_a_folder_that_is_no_classifier(refused, data, tmp_path, tiny_encoder):
    for folder in (tmp_path, tmp_path / "absent", data()):
        assert "config.json" in refused("predict", folder, data())
    assert "was not written by layerfuse" in refused("predict", tiny_encoder, data())


def test_predict_refuses_an_invalid_table(refused, saved, tmp_path):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "empty.parquet").write_text("")

    assert "holds no data rows" in refused("predict", saved, tmp_path / "empty.csv")
    assert "is not a readable parquet file" in refused("predict", saved, tmp_path / "empty.parquet")
    assert "is neither a file" in refused("predict", saved, tmp_path / "absent.csv")


def test_predict_refuses_a_table_with_a_column_named_prediction(refused, saved, data):
    file = data("again.csv", prediction=["x"] * 48)

    assert "already has a column named 'prediction'" in refused("predict", saved, file)


def test_an_output_file_that_cannot_be_written_is_refused(refused, saved, data, tmp_path):
    assert "cannot be written" in refused(
        "predict", saved, data(), "-o", tmp_path / "absent" / "out.csv"
    )
    assert "unknown extension" in refused("predict", saved, data(), "-o", tmp_path / "out.xls")


def test_predict_refuses_a_damaged_classifier(refused, saved, data, tmp_path):
    import shutil

    copy = shutil.copytree(saved, tmp_path / "copy")
    content = bytearray((copy / "arrays.safetensors").read_bytes())
    content[-1] ^= 1
    (copy / "arrays.safetensors").write_bytes(content)

    assert "arrays.safetensors is not the file that was saved" in refused("predict", copy, data())
