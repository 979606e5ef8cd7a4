"""``layerfuse demo``, with the real models and sentences."""

import re
import subprocess
import sys

import pytest

from layerfuse.cli.demo import _predict_in_new_process

ROWS = [
    r"TF-IDF \+ logistic regression",
    r"all-MiniLM-L6-v2, last layer",
    r"smollm2-135m, last layer",
    r"best layer of all",
    r"last layers of all",
    r"layerfuse",
]
INTERVAL = r"\d+\.\d"


def test_a_module_in_the_working_folder_is_not_taken_for_layerfuse(
    saved, tmp_path, monkeypatch, capsys, subprocess_environment
):
    monkeypatch.chdir(tmp_path)
    for name in ("layerfuse", "numpy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('wrong module')")
    for name, value in subprocess_environment.items():
        monkeypatch.setenv(name, value)
    _predict_in_new_process(saved)

    assert re.fullmatch(r"(calm|loud)\t0\.\d{4}", capsys.readouterr().out.splitlines()[-1])


@pytest.mark.network
@pytest.mark.slow
def test_the_demo_ends_with_a_prediction_by_a_new_process(subprocess_environment, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "layerfuse", "demo", "--train", "40", "--test", "20", "--no-costs"],
        env=subprocess_environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    for row in ROWS:
        assert re.search(rf"^{row} +{INTERVAL}", done.stdout, re.MULTILINE), row
    for layer in ("all-MiniLM-L6-v2:6:mean", "smollm2-135m:30:last"):
        assert re.search(rf"^{layer} +-?\d\.\d{{4}}( |$)", done.stdout, re.MULTILINE)
    for backbone in ("all-MiniLM-L6-v2", "smollm2-135m"):
        assert re.search(rf"^{backbone}:\d+:\w+ .*\*$", done.stdout, re.MULTILINE)
    assert re.search(r"\d+ s in all, peak memory \d+ MiB", done.stdout)
    assert "saved to demo-classifier, backbones included" in done.stdout
    assert re.fullmatch(r"[01]\t0\.\d{4}", done.stdout.splitlines()[-1])
    assert [path.name for path in tmp_path.iterdir()] == ["demo-classifier"]
