"""Seconds from texts to embeddings: layerfuse at all layers, its peers, and the floor.

    python benchmarks/speed.py --data DIR/mr --backbone FOLDER --texts 1000 --rounds 5 --out FILE

All contestants run interleaved in one process (A B C A B C ...), on the same texts, with
tokenisation. DIR/mr holds train.parquet with a column text. Prints one JSON line per case, with the
median seconds of each and the ratios of every round to layerfuse, in float32 and in bfloat16. Peers
that are not installed are left out and named in the line: ``pip install --group bench``. ``--flair
PYTHON`` adds flair, run by another Python (flair needs transformers < 5).
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import floor
import peers
import record
import torch

from layerfuse import Backbone
from layerfuse.backbone import fastest_kernel
from layerfuse.backbone.tokens import tokenize
from layerfuse.core.spec import Dtype

_FLAIR = Path(__file__).with_name("flair_seconds.py")


def main() -> None:
    """Run one case."""
    args = _arguments()
    (texts,) = record.read_sample(args.data / "train.parquet", args.texts)
    backbone = _load(args.backbone, "float32")
    # Distinct texts only: running a duplicate twice is not part of the floor.
    tokens = tokenize(backbone.tokenizer, list(dict.fromkeys(texts)), backbone.spec.max_tokens, "")
    contestants, missing = _contestants(args, backbone, texts)
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    floors: dict[str, list[float]] = {"fp32": [], "bf16": []}
    models = {"fp32": backbone}
    if args.bf16:
        models["bf16"] = _load(args.backbone, "bfloat16")
    for _ in range(args.rounds):
        for name, run in contestants.items():
            seconds[name].append(run())
        for dtype, model in models.items():
            floors[dtype].append(floor.floor_seconds(model, len(tokens.ids)))
    line = {
        "benchmark": "extraction",
        "backbone": backbone.name,
        "data": args.data.name,
        "n_texts": len(texts),
        "n_tokens": len(tokens.ids),
        "kernel": fastest_kernel(),
        "seconds": {name: record.spread(values) for name, values in seconds.items()},
        **{
            f"over_layerfuse_{dtype}": {
                name: record.ratios(values, seconds[f"layerfuse {dtype}"])
                for name, values in seconds.items()
            }
            for dtype in models
            if f"layerfuse {dtype}" in seconds
        },
        "over_floor": {
            dtype: record.ratios(seconds.get(f"layerfuse {dtype}", []), floors[dtype])
            for dtype in models
        },
        "left_out": missing,
    }
    record.write(line, args.out)


def _load(folder: Path, dtype: Dtype) -> Backbone:
    return Backbone.from_pretrained(folder, pooling="mean", device="cpu", dtype=dtype)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bf16", action="store_true", help="include the bfloat16 contestants")
    parser.add_argument("--only", nargs="+", help="run only these contestants")
    parser.add_argument("--flair", type=Path, help="a Python in which flair is installed")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def _contestants(
    args: argparse.Namespace, backbone: Backbone, texts: list[str]
) -> tuple[dict[str, Callable[[], float]], dict[str, str]]:
    """Return warmed-up contestants as functions to seconds, and those left out with the reason."""
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
        running[name] = lambda embed=embed: record.seconds(lambda: embed(texts))
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


if __name__ == "__main__":
    main()
