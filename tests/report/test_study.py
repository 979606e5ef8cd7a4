"""Studies: every run once, also after a stop; tables contain the numbers of the runs."""

import csv
import dataclasses
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from layerfuse.core.errors import (
    BackboneLoadError,
    DataError,
    LayerFuseError,
    ReportError,
    SelectionError,
    UnknownOptionError,
)
from layerfuse.report import study as study_module
from layerfuse.report.study import run_study
from layerfuse.report.study_config import StudyConfig
from layerfuse.report.study_tables import save_study, study_csv, study_latex, study_markdown

pytestmark = pytest.mark.unchecked  # whole fits, whose parts are checked by tests of their own

QUIET = {"cache": None, "device": "cpu", "progress": False}


def write_study(folder, toy, tiny_encoder):
    """Two data sets, a set of backbones, two seeds: four runs."""
    for data in ("one", "two_&"):
        for side, seed in (("train", 0), ("test", 1)):
            texts, labels = toy(30, seed=seed + len(data))
            lines = [
                json.dumps({"text": t, "label": y}) for t, y in zip(texts, labels, strict=True)
            ]
            (folder / f"{data}-{side}.jsonl").write_text("\n".join(lines) + "\n")
    path = folder / "study.toml"
    path.write_text(f"""
seeds = [0, 5]
[backbones]
tiny = ['{tiny_encoder}']
[data.one]
train = "one-train.jsonl"
test = "one-test.jsonl"
[data."two_&"]
train = "two_&-train.jsonl"
test = "two_&-test.jsonl"
""")
    return path


@pytest.fixture
def config_file(tmp_path, toy, tiny_encoder):
    return write_study(tmp_path, toy, tiny_encoder)


def count_comparisons(monkeypatch):
    """Skip the costs, which need a process each; return a record of each comparison."""
    calls = []
    compare = study_module.compare

    def counted(*args, **options):
        calls.append(options["name"])
        return compare(*args, **(options | {"costs": False}))

    monkeypatch.setattr(study_module, "compare", counted)
    return calls


@pytest.fixture
def quick(monkeypatch):
    return count_comparisons(monkeypatch)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, toy, tiny_encoder):
    """All runs of a study, for tests that only read them."""
    folder = tmp_path_factory.mktemp("study")
    config = StudyConfig.load(write_study(folder, toy, tiny_encoder))
    with pytest.MonkeyPatch.context() as monkeypatch:
        count_comparisons(monkeypatch)
        return list(run_study(config, folder / "out", base=folder, **QUIET))


@pytest.fixture
def told(monkeypatch, make_report):
    """Replace compare by made-up reports; return the data sets that were compared."""
    calls = []

    def made_up(*_args, **options):
        calls.append(options["name"])
        report = make_report()
        return dataclasses.replace(
            report, data=dataclasses.replace(report.data, name=options["name"])
        )

    monkeypatch.setattr(study_module, "compare", made_up)
    return calls


def test_a_stopped_study_resumes_without_repeating_runs(config_file, quick, tmp_path):
    config, out = StudyConfig.load(config_file), tmp_path / "out"
    started = run_study(config, out, base=tmp_path, **QUIET)
    before = [next(started), next(started)]
    started.close()
    runs = list(run_study(config, out, base=tmp_path, **QUIET))
    assert [(run.data, run.seed) for run in runs] == [
        ("one", 0), ("one", 5), ("two_&", 0), ("two_&", 5)
    ]  # fmt: skip
    assert runs[:2] == before
    assert quick == ["one", "one", "two_&", "two_&"]


def test_changed_settings_cause_a_new_run(config_file, told, tmp_path):
    config, out = StudyConfig.load(config_file), tmp_path / "out"
    next(run_study(config, out, base=tmp_path, **QUIET))
    config_file.write_text('fusions = ["mean"]\n' + config_file.read_text())
    next(run_study(StudyConfig.load(config_file), out, base=tmp_path, **QUIET))
    assert told == ["one", "one"]


def test_settings_of_the_study_reach_the_classifier(config_file, monkeypatch, tmp_path):
    config_file.write_text(
        'fusions = ["mean"]\nselector = "best"\nmax_tokens = 9\ndtype = "bfloat16"\n'
        + config_file.read_text()
        + "[prompts]\ntiny = ['so: {text}']\n"
    )
    seen = []

    def stop(classifier, *_args, **_options):
        seen.append(classifier.get_params(deep=False))
        raise KeyboardInterrupt

    monkeypatch.setattr(study_module, "compare", stop)
    with pytest.raises(KeyboardInterrupt):
        next(run_study(StudyConfig.load(config_file), tmp_path / "out", base=tmp_path, **QUIET))
    expected = {"fusion": "mean", "selector": "best", "max_tokens": 9, "dtype": "bfloat16"}
    expected["prompt"] = ("so: {text}",)
    assert expected.items() <= seen[0].items()


def test_paths_of_backbones_are_relative_to_the_configuration_file(
    config_file, tmp_path, monkeypatch
):
    (tmp_path / "own").mkdir()
    config_file.write_text(re.sub(r"tiny = .*", 'tiny = ["own"]', config_file.read_text()))
    seen = []

    def stop(classifier, *_args, **_options):
        seen.append(classifier.backbones)
        raise KeyboardInterrupt

    monkeypatch.setattr(study_module, "compare", stop)
    monkeypatch.setattr(study_module, "weights_digest", str)
    with pytest.raises(KeyboardInterrupt):
        next(run_study(StudyConfig.load(config_file), tmp_path / "out", base=tmp_path, **QUIET))
    assert seen == [(str(tmp_path / "own"),)]


def test_a_changed_prompt_causes_new_runs_of_its_set_of_backbones_only(
    config_file, quick, tmp_path
):
    plain = config_file.read_text()
    again = re.search(r"tiny = (.*)", plain)[1]
    plain = plain.replace("[data.one]", f"asked = {again}\n[data.one]")
    for prompt in ("so: ", "{text}, so"):
        config_file.write_text(plain + f"[prompts]\nasked = ['{prompt}']\n")
        runs = run_study(StudyConfig.load(config_file), tmp_path / "out", base=tmp_path, **QUIET)
        found = [run.report.prompts for _, run in zip(range(4), runs, strict=False)]
        assert found == [{}, {}, {"encoder": prompt}, {"encoder": prompt}]
    assert quick == ["one"] * 6


def test_changed_texts_cause_a_new_run(config_file, quick, tmp_path):
    config, out = StudyConfig.load(config_file), tmp_path / "out"
    next(run_study(config, out, base=tmp_path, **QUIET))
    data = tmp_path / "one-train.jsonl"
    data.write_text(data.read_text() + '{"text": "calm1 calm2", "label": "calm"}\n')
    run = next(run_study(config, out, base=tmp_path, **QUIET))
    assert run.report.data.n_train == 31
    assert quick == ["one", "one"]


def test_changed_texts_in_a_data_folder_cause_a_new_run(config_file, quick, tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    for side in ("train", "test"):
        (tmp_path / f"one-{side}.jsonl").rename(folder / f"{side}.jsonl")
    text = config_file.read_text().replace('"one-train.jsonl"', '"one"')
    config_file.write_text(text.replace('"one-test.jsonl"', '"one"'))
    config, out = StudyConfig.load(config_file), tmp_path / "out"
    next(run_study(config, out, base=tmp_path, **QUIET))
    lines = (folder / "test.jsonl").read_text().splitlines()
    (folder / "test.jsonl").write_text("\n".join(lines[:-1]) + "\n")
    assert next(run_study(config, out, base=tmp_path, **QUIET)).report.data.n_test == 29
    assert quick == ["one", "one"]


def test_changed_weights_cause_a_new_run(config_file, told, tiny_encoder, tmp_path):
    own = tmp_path / "own"
    shutil.copytree(tiny_encoder, own)
    config_file.write_text(config_file.read_text().replace(str(tiny_encoder), str(own)))
    config, out = StudyConfig.load(config_file), tmp_path / "out"
    next(run_study(config, out, base=tmp_path, **QUIET))
    weights = load_file(own / "model.safetensors")
    save_file({name: value * 1.5 for name, value in weights.items()}, own / "model.safetensors")
    next(run_study(config, out, base=tmp_path, **QUIET))
    assert told == ["one", "one"]


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "special_tokens_map.json", "vocab.txt", "own.py"]
)
def test_a_changed_tokenizer_or_model_code_causes_a_new_run(
    config_file, told, tiny_encoder, tmp_path, name
):
    own = tmp_path / "own"
    shutil.copytree(tiny_encoder, own)
    config_file.write_text(config_file.read_text().replace(str(tiny_encoder), str(own)))
    config, out = StudyConfig.load(config_file), tmp_path / "out"
    next(run_study(config, out, base=tmp_path, **QUIET))
    (own / "README.md").write_text("What people read changes no number.")
    next(run_study(config, out, base=tmp_path, **QUIET))
    assert told == ["one"]
    text = (own / name).read_text("utf-8") if (own / name).exists() else "{}"
    (own / name).write_text(text + "\n", "utf-8")
    next(run_study(config, out, base=tmp_path, **QUIET))
    assert told == ["one", "one"]


def test_a_wrong_path_is_refused_before_the_first_run(config_file, quick, tmp_path):
    (tmp_path / "two_&-test.jsonl").unlink()
    with pytest.raises(DataError, match=r"two_&-test\.jsonl is neither a file"):
        next(run_study(StudyConfig.load(config_file), tmp_path / "o", base=tmp_path, **QUIET))
    assert not quick


@pytest.mark.parametrize("line", ['{"text": "a", "label": "new"}', ""])
def test_invalid_labels_are_refused_before_the_first_run(config_file, quick, tmp_path, line):
    """In the second data set, before the runs of the first."""
    (tmp_path / "two_&-test.jsonl").write_text(line + "\n")
    with pytest.raises(LayerFuseError, match=r"Data set 'two_&': .*('new'|empty)"):
        next(run_study(StudyConfig.load(config_file), tmp_path / "o", base=tmp_path, **QUIET))
    assert not quick


def test_the_error_of_a_failed_run_names_the_run(config_file, monkeypatch, tmp_path):
    def fail(*_args, **_options):
        raise SelectionError("Nothing fits the budget.")

    monkeypatch.setattr(study_module, "compare", fail)
    expected = r"Data set 'one', backbones 'tiny', seed 0: Nothing fits"
    with pytest.raises(SelectionError, match=expected):
        next(run_study(StudyConfig.load(config_file), tmp_path / "o", base=tmp_path, **QUIET))


def test_paths_of_texts_are_relative_to_the_configuration_file(
    config_file, quick, tmp_path, monkeypatch
):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "one-train.jsonl").rename(elsewhere / "one-train.jsonl")
    monkeypatch.chdir(elsewhere)
    with pytest.raises(DataError, match=re.escape(str(tmp_path / "one-train.jsonl"))):
        next(run_study(StudyConfig.load(config_file), tmp_path / "o", base=tmp_path, **QUIET))
    assert not quick


def test_a_working_folder_named_like_a_packaged_model_is_refused(
    config_file, quick, tmp_path, monkeypatch
):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "all-MiniLM-L6-v2").mkdir(parents=True)
    config_file.write_text(
        re.sub(r"tiny = .*", 'tiny = ["all-MiniLM-L6-v2"]', config_file.read_text())
    )
    monkeypatch.chdir(elsewhere)
    with pytest.raises(BackboneLoadError, match=r"only in the working folder .* another folder"):
        next(run_study(StudyConfig.load(config_file), tmp_path / "o", base=tmp_path, **QUIET))


def test_columns_of_test_texts_are_those_of_the_training_texts(config_file, told, tmp_path):
    """The test texts have a further column with a usual name."""
    train, test = (tmp_path / f"one-{side}.jsonl" for side in ("train", "test"))
    train.write_text(train.read_text().replace('"text"', '"sentence"'))
    lines = test.read_text().replace('"text"', '"text": "x", "sentence"')
    test.write_text(lines)
    next(run_study(StudyConfig.load(config_file), tmp_path / "o", base=tmp_path, **QUIET))
    assert told == ["one"]
    train.write_text(lines)
    with pytest.raises(DataError, match=r"^Data set 'one': .*Name it with text_column=NAME\.$"):
        next(run_study(StudyConfig.load(config_file), tmp_path / "o", base=tmp_path, **QUIET))


def test_an_unknown_column_is_named_by_its_key_in_the_configuration(config_file, tmp_path):
    text = config_file.read_text().replace("[data.one]", '[data.one]\ntext_column = "txt"')
    config_file.write_text(text)
    with pytest.raises(DataError, match=r"^Data set 'one': text_column='txt', but .* has no such"):
        next(run_study(StudyConfig.load(config_file), tmp_path / "o", base=tmp_path, **QUIET))


def test_names_are_escaped_in_every_table(config_file, told, tmp_path):
    text = config_file.read_text().replace("[data.one]", '[data."[<b>\\n| one"]')
    config_file.write_text(text)
    run = next(run_study(StudyConfig.load(config_file), tmp_path / "o", base=tmp_path, **QUIET))
    assert r"| classifier | \[&lt;b&gt; \| one |" in study_markdown([run])
    assert r"classifier & {}[\textless{}b\textgreater{} | one \\" in study_latex([run])
    assert told == [run.data]


def test_long_names_are_shortened_in_the_folders_of_runs(config_file, told, tmp_path):
    name, text = "日" * 300, config_file.read_text()
    text = text.replace("[data.one]", f'[data."{name}"]').replace("tiny =", f"{'x' * 300} =")
    config_file.write_text(text, "utf-8")
    run = next(run_study(StudyConfig.load(config_file), tmp_path / "o", base=tmp_path, **QUIET))
    assert run.data == run.report.data.name == name
    (folder,) = (tmp_path / "o" / "runs").iterdir()
    assert folder.name.startswith(f"{'日' * 33}--{'x' * 100}--0-")


def test_tables_contain_the_numbers_of_the_runs(runs, tmp_path):
    rows = list(csv.DictReader(io.StringIO(study_csv(runs))))
    assert len(rows) == sum(len(run.report.baselines) + 1 for run in runs)
    own = [float(r["accuracy"]) for r in rows if r["kind"] == "result" and r["data"] == "one"]
    assert own == [run.report.result.accuracy for run in runs if run.data == "one"]
    cell = f"{100 * np.mean(own):.1f} ± {100 * np.std(own, ddof=1):.1f}"
    markdown = study_markdown(runs)
    last = markdown.strip().splitlines()[-1]
    assert last.startswith(f"| layerfuse | {cell} |")
    assert r"| classifier | one | two\_&amp; |" in markdown
    latex = study_latex(runs)
    assert cell.replace("±", r"$\pm$") in latex
    assert r"classifier & one & two\_\& \\" in latex
    assert [path.name for path in save_study(runs, tmp_path)] == [
        "study.md", "study.tex", "study.csv"
    ]  # fmt: skip


def test_a_row_with_only_some_seeds_shows_their_number(runs):
    first = next(run for run in runs if run.data == "one")
    best = {run.report.best_baseline for run in runs}
    rare = next(row for row in first.report.baselines if row.name not in best)
    others = [
        dataclasses.replace(run, report=_without(run.report, rare.name)) if run != first else run
        for run in runs
    ]
    n_seeds = len({run.seed for run in runs})
    cells = next(c for c in study_markdown(others).splitlines() if c.startswith(f"| {rare.name}"))
    assert f"| {100 * rare.accuracy:.1f} (1 of {n_seeds}) |  |" in cells
    assert "or as many as a row says" in study_markdown(others)


def _without(report, name):
    kept = tuple(row for row in report.baselines if row.name != name)
    return dataclasses.replace(report, baselines=kept)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data = ", "is not a TOML file"),
        ("[backbones]\na = ['x']", "data: Field required"),
        ("fusions = ['blend']\n[backbones]\na=['x']\n[data.a]\ntrain='x'\ntest='y'", "fusions.0"),
        ("fusion = 'mean'\n[backbones]\na=['x']\n[data.a]\ntrain='x'\ntest='y'", "fusion: "),
        (
            "seeds=[0,0]\n[backbones]\na=['x']\n[data.a]\ntrain='x'\ntest='y'",
            "seeds: expected distinct seeds",
        ),
        (
            "[prompts]\nb=['x']\n[backbones]\na=['x']\n[data.a]\ntrain='x'\ntest='y'",
            "prompts.b: expected one prompt for each of the 0 backbones of this set, got 1",
        ),
        (
            "[prompts]\na=['x', '']\n[backbones]\na=['x']\n[data.a]\ntrain='x'\ntest='y'",
            "prompts.a: expected one prompt for each of the 1 backbones of this set, got 2",
        ),
        ("[backbones]\n[data.a]\ntrain='x'\ntest='y'", "backbones: expected at least one"),
    ],
)
def test_a_mistake_in_the_configuration_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "study.toml"
    path.write_text(text)
    with pytest.raises(ReportError, match=message):
        StudyConfig.load(path)


def test_an_invalid_prompt_is_refused(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text("[prompts]\na=['{x}']\n[backbones]\na=['x']\n[data.a]\ntrain='x'\ntest='y'")
    with pytest.raises(UnknownOptionError, match=r"has the placeholder \{x\}"):
        StudyConfig.load(path)


def test_an_invalid_seed_is_refused(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text("seeds=[0,-1]\n[backbones]\na=['x']\n[data.a]\ntrain='x'\ntest='y'")
    with pytest.raises(UnknownOptionError, match="seeds=-1: expected 0 to"):
        StudyConfig.load(path)


def test_the_example_study_is_valid():
    example = Path(__file__).parents[2] / "examples" / "paper.toml"
    config = StudyConfig.load(example)
    assert set(config.data) == {"SST-2", "MR", "R8", "R52"}
    assert {"gated", "residual_quaternion"} <= set(config.fusions)
