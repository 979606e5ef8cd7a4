"""The Python of README, criteria.md and report.md runs as it stands, on real models and texts."""

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def blocks_of(page):
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), flags=re.DOTALL)


BLOCKS = blocks_of("README.md")


@pytest.fixture(scope="session")
def downloads(tmp_path_factory):
    """One cache for all blocks, so that the model is fetched once."""
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture
def run(tmp_path, downloads, monkeypatch, capsys):
    """Return what runs a block in a folder of its own, where warnings are errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAYERFUSE_CACHE", str(downloads))

    def run_and_read(block):
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            exec(block, {"__name__": "__main__"})
        return capsys.readouterr().out

    return run_and_read


def test_the_readme_has_the_estimator_and_the_stages():
    assert len(BLOCKS) == 2
    assert "FusionClassifier" in BLOCKS[0]
    assert "select_layers" in BLOCKS[1]


@pytest.mark.network
@pytest.mark.slow
def test_the_estimator_runs_and_saves(tmp_path, downloads):
    """In a process of its own, as all would be if each did not wait for the same imports."""
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", BLOCKS[0]],
        cwd=tmp_path,
        env={**os.environ, "LAYERFUSE_CACHE": str(downloads)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"all-MiniLM-L6-v2:[3-6]:(mean|first)", done.stdout)
    assert (tmp_path / "my-classifier" / "config.json").is_file()


@pytest.mark.network
@pytest.mark.slow
def test_the_stages_run_and_say_what_the_comments_say(run):
    shape, first, best, *_ = run(BLOCKS[1]).splitlines()
    assert shape == "(14, 171, 384)"
    assert first == "all-MiniLM-L6-v2:0:mean"
    assert best.startswith("all-MiniLM-L6-v2:")


@pytest.mark.network
@pytest.mark.slow
def test_layers_are_chosen_with_their_stability_and_within_a_budget(run):
    (block,) = blocks_of("docs/criteria.md")
    first, within_budget = run(block).splitlines()
    layer, share = first.split()
    assert layer.startswith("all-MiniLM-L6-v2:")
    assert 0 < float(share) <= 1
    assert within_budget.startswith("all-MiniLM-L6-v2:")


@pytest.mark.network
@pytest.mark.slow
def test_a_comparison_prints_its_table_and_saves_its_pages(run, tmp_path):
    (block,) = blocks_of("docs/report.md")
    assert "TF-IDF + logistic regression" in run(block)
    assert (tmp_path / "report" / "report.html").is_file()
