"""Time and memory of reading all layers: layerfuse against the plain way with transformers.

    python benchmarks/extraction.py --backbone NAME --data FILE.parquet --texts 1000 --rounds 3

The two run interleaved in one process, A B A B. The plain way is what tutorials show: batches of 32
in the order of arrival, padded to their longest text, ``output_hidden_states=True``, every layer
mean-pooled. The memory figure is the highest resident memory above the loaded, warmed model while
layerfuse streams all texts to a store. Prints one JSON line; ``--out FILE`` appends it to a file.
"""

import argparse
import json
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import torch

from layerfuse import Backbone, EmbeddingStore
from layerfuse.extract import embed_to_store
from layerfuse.meter import Meter

_NAIVE_BATCH = 32


def naive(backbone: Backbone, texts: list[str]) -> np.ndarray:
    """Embed all layers the plain way; (layer, text, hidden)."""
    model, tokenizer = backbone.model, backbone.tokenizer
    parts = []
    with torch.inference_mode():
        for start in range(0, len(texts), _NAIVE_BATCH):
            batch = tokenizer(
                texts[start : start + _NAIVE_BATCH],
                padding=True,
                truncation=True,
                max_length=backbone.spec.max_tokens,
                return_tensors="pt",
            )
            states = model(**batch, output_hidden_states=True).hidden_states
            mask = batch["attention_mask"].unsqueeze(-1).float()
            stacked = torch.stack([(s * mask).sum(1) / mask.sum(1) for s in states])
            parts.append(stacked.numpy())
    return np.concatenate(parts, axis=1)


def seconds(work: Callable[[], object]) -> float:
    """Return the wall time of a call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--attention", default=None, help="such as eager; default: the model's own")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    everything = pq.read_table(args.data)["text"].to_pylist()
    drawn = np.random.default_rng(0).permutation(len(everything))[: args.texts]
    texts = [everything[i] for i in drawn]
    backbone = Backbone.from_pretrained(args.backbone, pooling="mean")
    if args.attention:
        backbone.model.set_attn_implementation(args.attention)

    ours = backbone.embed(texts[:64], progress=False).values
    # Before the plain way runs: what it once allocated would hide what layerfuse needs.
    with tempfile.TemporaryDirectory() as folder, Meter() as meter:
        embed_to_store(backbone, texts, EmbeddingStore(folder), progress=False)
    agree = float(np.abs(ours[:-1] - naive(backbone, texts[:64])[:-1]).max())

    times: dict[str, list[float]] = {"naive": [], "layerfuse": []}
    for _ in range(args.rounds):
        times["naive"].append(seconds(lambda: naive(backbone, texts)))
        times["layerfuse"].append(seconds(lambda: backbone.embed(texts, progress=False)))
    ratios = [a / b for a, b in zip(times["naive"], times["layerfuse"], strict=True)]
    line = {
        "benchmark": "extraction",
        "backbone": backbone.name,
        "data": args.data.parent.name,
        "n_texts": len(texts),
        "attention": args.attention or "default",
        "naive_seconds": [round(t, 2) for t in times["naive"]],
        "layerfuse_seconds": [round(t, 2) for t in times["layerfuse"]],
        "ratio_median": round(statistics.median(ratios), 2),
        "ratio_min": round(min(ratios), 2),
        "ratio_max": round(max(ratios), 2),
        "largest_difference": agree,
        "extra_memory_mib": round(meter.overhead().extra_memory_bytes / 2**20),
        "commit": _commit(),
        "torch": version("torch"),
        "transformers": version("transformers"),
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "cpus": psutil.cpu_count(),
        "machine": platform.machine(),
    }
    text = json.dumps(line)
    print(text)
    if args.out:
        with args.out.open("a", encoding="utf-8") as out:
            out.write(text + "\n")


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
