"""Texts to embeddings: layerfuse at all layers beside what others do, and the floor beneath all.

    python benchmarks/speed --data DIR/mr --backbone FOLDER --texts 1000 --rounds 5 --out FILE

All contestants run by turns in one process (A B C A B C ...), on the same texts, with tokenisation.
DIR/mr holds train.parquet with a column text. Prints one JSON line per case, with the median
seconds of each and the ratios of every round to layerfuse in float32. Peers that are not
installed are left out and named in the line: ``pip install --group bench``. ``--flair PYTHON``
adds flair, run by a Python of its own (flair needs transformers < 5).
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import floor
import numpy as np
import peers
import psutil
import pyarrow.parquet as pq
import torch

from layerfuse import Backbone, EmbeddingStore
from layerfuse.backbone.kernels import fastest_kernel
from layerfuse.backbone.tokens import tokenize
from layerfuse.extract import embed_to_store
from layerfuse.meter import Meter

_FLAIR = Path(__file__).with_name("flair_seconds.py")
_BF16_FLAGS = {"avx512_bf16", "amx_bf16"}


def main() -> None:
    """Run one case."""
    args = _arguments()
    texts = _sample(args.data / "train.parquet", args.texts)
    backbone = Backbone.from_pretrained(args.backbone, pooling="mean", device="cpu")
    memory_mib = _extra_memory_mib(backbone, texts)
    tokens = tokenize(backbone.tokenizer, texts, backbone.spec.max_tokens, "")
    contestants, missing = _contestants(args, backbone, texts)
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    floors = {"float32": [], "bfloat16": []}
    half = Backbone.from_pretrained(args.backbone, pooling="mean", device="cpu", dtype="bfloat16")
    for _ in range(args.rounds):
        for name, run in contestants.items():
            seconds[name].append(run())
        floors["float32"].append(floor.floor_seconds(backbone, len(tokens.ids)))
        if args.bf16:
            floors["bfloat16"].append(floor.floor_seconds(half, len(tokens.ids)))
    line = {
        "benchmark": "speed",
        "backbone": backbone.name,
        "data": args.data.name,
        "n_texts": len(texts),
        "n_tokens": len(tokens.ids),
        "seconds": {name: _spread(values) for name, values in seconds.items()},
        "times_layerfuse_fp32": {
            name: _ratios(values, seconds["layerfuse fp32"]) for name, values in seconds.items()
        },
        "over_floor": {
            "fp32": _ratios(seconds["layerfuse fp32"], floors["float32"]),
            "bf16": _ratios(seconds.get("layerfuse bf16", []), floors["bfloat16"]),
        },
        "left_out": missing,
        "extra_memory_mib": memory_mib,
        "kernel": fastest_kernel(),
        **_circumstances(),
    }
    text = json.dumps(line)
    print(text)
    if args.out:
        with args.out.open("a", encoding="utf-8") as out:
            out.write(text + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bf16", action="store_true", help="the bfloat16 contestants too")
    parser.add_argument("--only", nargs="+", help="names of contestants")
    parser.add_argument("--flair", type=Path, help="a Python that has flair")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def _contestants(
    args: argparse.Namespace, backbone: Backbone, texts: list[str]
) -> tuple[dict[str, Callable[[], float]], dict[str, str]]:
    """Return what runs, each a function to seconds, warmed up; and what cannot, with the reason."""
    max_tokens = backbone.spec.max_tokens
    makers: dict[str, Callable[[], peers.Embed]] = {
        "layerfuse fp32": lambda: peers.all_layers(backbone),
        "naive fp32": lambda: peers.naive(backbone),
        "sentence-transformers fp32": lambda: peers.sentence_transformers(
            args.backbone, max_tokens, torch.float32
        ),
        "transformer-ranker fp32": lambda: peers.transformer_ranker(
            Backbone.from_pretrained(args.backbone, device="cpu")
        ),
    }
    if args.bf16:
        makers["layerfuse bf16"] = lambda: peers.all_layers(
            Backbone.from_pretrained(args.backbone, pooling="mean", device="cpu", dtype="bfloat16")
        )
        makers["sentence-transformers bf16"] = lambda: peers.sentence_transformers(
            args.backbone, max_tokens, torch.bfloat16
        )
    running: dict[str, Callable[[], float]] = {}
    missing: dict[str, str] = {}
    for name, make in makers.items():
        if args.only and name not in {"layerfuse fp32", *args.only}:
            continue
        try:
            embed = make()
            embed(texts[:40])
        except (ImportError, ValueError, TypeError, RuntimeError) as err:
            missing[name] = f"{type(err).__name__}: {err}"[:200]
            continue
        running[name] = lambda embed=embed: _seconds(lambda: embed(texts))
    if args.flair:
        running["flair fp32"] = lambda: _flair_seconds(args, texts, max_tokens)
    else:
        missing["flair fp32"] = "no --flair PYTHON given"
    return running, missing


def _flair_seconds(args: argparse.Namespace, texts: list[str], max_tokens: int) -> float:
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(texts, file)
        file.flush()
        command = [args.flair, _FLAIR, args.backbone, file.name, str(max_tokens)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def _extra_memory_mib(backbone: Backbone, texts: list[str]) -> int:
    """Return the peak above the loaded, warmed model while all texts stream to a store."""
    backbone.embed(texts[:64], progress=False)
    with tempfile.TemporaryDirectory() as folder, Meter() as meter:
        embed_to_store(backbone, texts, EmbeddingStore(folder), progress=False)
    return round(meter.overhead().extra_memory_bytes / 2**20)


def _sample(file: Path, n_texts: int) -> list[str]:
    everything = pq.read_table(file)["text"].to_pylist()
    drawn = np.random.default_rng(0).permutation(len(everything))[:n_texts]
    return [everything[i] for i in drawn]


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _spread(values: list[float]) -> list[float]:
    """Return median, least and most."""
    return [round(f(values), 3) for f in (statistics.median, min, max)]


def _ratios(values: list[float], base: list[float]) -> list[float] | None:
    """Return median, least and most of the ratios round by round."""
    ratios = [a / b for a, b in zip(values, base, strict=bool(values and base))]
    return _spread(ratios) if ratios else None


def _circumstances() -> dict[str, Any]:
    flags = set()
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    for line in lines:
        if line.startswith("flags"):
            flags = set(line.partition(":")[2].split())
            break
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    packages = ("torch", "transformers", "sentence-transformers", "transformer-ranker")
    return {
        "commit": commit.stdout.strip() or "unknown",
        "cpu": names[0] if names else platform.processor(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "bf16_instructions": sorted(flags & _BF16_FLAGS),
        "cores": psutil.cpu_count(logical=False),
        "threads": torch.get_num_threads(),
        "wait_policy": os.environ.get("OMP_WAIT_POLICY", "default"),
        "python": platform.python_version(),
        **{name: _version(name) for name in packages},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
