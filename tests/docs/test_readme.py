"""The Python of README, criteria.md and report.md runs as it stands, on real models and texts."""

import os
import re
import subprocess
import sys
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


def run(block, folder, cache):
    return subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", block],
        cwd=folder,
        env={**os.environ, "LAYERFUSE_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_readme_has_the_estimator_and_the_stages():
    assert len(BLOCKS) == 2
    assert "FusionClassifier" in BLOCKS[0]
    assert "select_layers" in BLOCKS[1]


@pytest.mark.network
@pytest.mark.slow
def test_the_estimator_runs_and_saves(tmp_path, downloads):
    done = run(BLOCKS[0], tmp_path, downloads)
    assert done.returncode == 0, done.stderr
    assert re.search(r"all-MiniLM-L6-v2:[3-6]:(mean|first)", done.stdout)
    assert (tmp_path / "my-classifier" / "config.json").is_file()


@pytest.mark.network
@pytest.mark.slow
def test_the_stages_run_and_say_what_the_comments_say(tmp_path, downloads):
    done = run(BLOCKS[1], tmp_path, downloads)
    assert done.returncode == 0, done.stderr
    shape, first, best, *_ = done.stdout.splitlines()
    assert shape == "(14, 171, 384)"
    assert first == "all-MiniLM-L6-v2:0:mean"
    assert best.startswith("all-MiniLM-L6-v2:")


@pytest.mark.network
@pytest.mark.slow
def test_layers_are_chosen_with_their_stability_and_within_a_budget(tmp_path, downloads):
    (block,) = blocks_of("docs/criteria.md")
    done = run(block, tmp_path, downloads)
    assert done.returncode == 0, done.stderr
    first, within_budget = done.stdout.splitlines()
    layer, share = first.split()
    assert layer.startswith("all-MiniLM-L6-v2:")
    assert 0 < float(share) <= 1
    assert within_budget.startswith("all-MiniLM-L6-v2:")


@pytest.mark.network
@pytest.mark.slow
def test_a_comparison_prints_its_table_and_saves_its_pages(tmp_path, downloads):
    (block,) = blocks_of("docs/report.md")
    done = run(block, tmp_path, downloads)
    assert done.returncode == 0, done.stderr
    assert "TF-IDF + logistic regression" in done.stdout
    assert (tmp_path / "report" / "report.html").is_file()
