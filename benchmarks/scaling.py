"""Time and memory of ``fit`` by number of texts, with cached embeddings.

    python benchmarks/scaling.py --data DIR/sst2 --backbone A --out FILE --plot FILE.svg

Every size runs in a fresh process, after another process has embedded the texts that the cache
lacks. The stages are timed one by one. ``--plot`` needs matplotlib.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import record

from layerfuse import Backbone, FusionClassifier
from layerfuse.core.supervision import Supervision
from layerfuse.extract import DEFAULT_CACHE, embed_to_store, store_at
from layerfuse.fuse import Concat
from layerfuse.meter import Meter
from layerfuse.score import score_layers
from layerfuse.select import select_layers
from layerfuse.train import fit_head, repeat_groups
from layerfuse.train.lexical import fit_lexical

_SIZES = (1000, 2000, 4000, 8000, 16_000, 32_000, 64_000)


def main() -> None:
    """Run all sizes, or one of them in this process."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=_SIZES)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--embed", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.embed:
        (texts,) = record.read_sample(args.data / "train.parquet", args.embed)
        with store_at(DEFAULT_CACHE) as store:
            embed_to_store(Backbone.from_pretrained(args.backbone, device="cpu"), texts, store)
        return
    if args.one:
        print(json.dumps(_one(args)))
        return
    results = []
    command = [sys.executable, __file__, "--data", args.data, "--backbone", args.backbone]
    # In another process, because its allocations must not count as memory held before fit.
    subprocess.run([*command, "--embed", str(max(args.sizes))], check=True)
    for size in args.sizes:
        done = subprocess.run(
            [*command, "--one", str(size)], stdout=subprocess.PIPE, text=True, check=True
        )
        results.append(json.loads(done.stdout.splitlines()[-1]))
        record.write(results[-1], args.out)
    if args.plot:
        _plot(results, args.plot)


def _one(args: argparse.Namespace) -> dict:
    texts, labels = record.read_sample(args.data / "train.parquet", args.one, ("text", "label"))
    backbone = Backbone.from_pretrained(args.backbone, device="cpu")
    classes = np.unique(labels, return_inverse=True)[1]
    stages: dict[str, float] = {}
    with store_at(DEFAULT_CACHE) as store:
        stored = embed_to_store(backbone, texts, store)
        with Meter() as meter:
            FusionClassifier([backbone], progress=False).fit(texts, labels)
        scores = None

        def score() -> None:
            nonlocal scores
            scores = score_layers(stored, labels)

        stages["score"] = record.seconds(score)
        selection = select_layers(scores, "upper_half")
        stages["greedy selection"] = record.seconds(
            lambda: select_layers(scores, "greedy", embeddings=[stored], labels=labels)
        )
        blocks = [stored.row(ref) for ref in selection]
        fused = Concat.fit(blocks).fuse(blocks)
    known = Supervision.of(classes)
    for head in ("ridge", "logistic"):
        stages[f"{head} head"] = record.seconds(lambda h=head: fit_head(fused, known, head=h))
    stages["TF-IDF head"] = record.seconds(
        lambda: fit_lexical(texts, Supervision.of(classes, groups=repeat_groups(texts)))
    )
    cost = meter.overhead()
    return {
        "benchmark": "scaling",
        "data": args.data.name,
        "backbone": backbone.name,
        "n_texts": len(texts),
        "fit_seconds": round(cost.wall_seconds, 2),
        "fit_extra_memory_mib": round(cost.extra_memory_bytes / 2**20),
        "stage_seconds": {name: round(value, 2) for name, value in stages.items()},
    }


def _plot(results: list[dict], file: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    sizes = [r["n_texts"] for r in results]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.plot(sizes, [r["fit_seconds"] for r in results], "k-o", label="fit, all of it")
    for stage in results[0]["stage_seconds"]:
        left.plot(sizes, [r["stage_seconds"][stage] for r in results], "-o", ms=3, label=stage)
    first = results[0]["fit_seconds"] / sizes[0]
    left.plot(sizes, [first * n for n in sizes], "k:", lw=1, label="linear")
    left.set(xscale="log", yscale="log", xlabel="texts", ylabel="seconds", title="Time")
    left.legend(fontsize=8)
    right.plot(sizes, [r["fit_extra_memory_mib"] for r in results], "k-o")
    right.set(xscale="log", yscale="log", xlabel="texts", ylabel="MiB", title="Memory of fit")
    for axes in (left, right):
        axes.set_xticks(sizes, [f"{n // 1000}k" for n in sizes], minor=False)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.savefig(file, metadata={"Date": None})


if __name__ == "__main__":
    main()
