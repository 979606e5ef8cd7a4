"""One JSON line per result, with everything that the numbers depend on."""

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from layerfuse.report.machine import processor

_PACKAGES = ("torch", "transformers", "scikit-learn", "sentence-transformers", "transformer-ranker")


def read_sample(file: Path, n_texts: int | None, columns: Sequence[str] = ("text",)) -> list[list]:
    """Return columns of a parquet file, at rows drawn with a fixed seed."""
    table = pq.read_table(file, columns=list(columns))
    drawn = np.random.default_rng(0).permutation(len(table))[:n_texts]
    return [table[name].take(drawn).to_pylist() for name in columns]


def read_splits(folder: Path) -> list[list[list]]:
    """Return texts and labels of train.parquet, and those of test.parquet."""
    return [
        read_sample(folder / f"{side}.parquet", None, ("text", "label"))
        for side in ("train", "test")
    ]


def seconds(work: Callable[[], object]) -> float:
    """Return the wall time of a call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def spread(values: Sequence[float]) -> list[float]:
    """Return median, minimum and maximum."""
    return [round(f(values), 4) for f in (statistics.median, min, max)]


def ratios(values: Sequence[float], base: Sequence[float]) -> list[float] | None:
    """Return median, minimum and maximum of the ratios of each round."""
    if not values or not base:
        return None
    return spread([a / b for a, b in zip(values, base, strict=True)])


def write(line: dict[str, Any], out: Path | None) -> None:
    """Print a result with machine and versions, and append it to a file."""
    text = json.dumps({**line, **_circumstances()})
    print(text, flush=True)
    if out:
        with out.open("a", encoding="utf-8") as file:
            file.write(text + "\n")


def _circumstances() -> dict[str, Any]:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "commit": commit.stdout.strip() or "unknown",
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "wait_policy": os.environ.get("OMP_WAIT_POLICY", "default"),
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
