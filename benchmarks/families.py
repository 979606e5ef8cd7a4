"""Seconds of extraction with and without an optimisation for one family, interleaved.

    python benchmarks/families.py --data DIR/r8 --backbone FOLDER --without fused_attention

Both run in one process. Prints one JSON line: the seconds of both, and in each round the ratio of
those without to those with it.
"""

import argparse
import contextlib
from pathlib import Path
from unittest import mock

import record

from layerfuse import Backbone
from layerfuse.backbone import embed, fastest_kernel


def main() -> None:
    """Run one backbone on a sample of one data set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--texts", type=int, default=100)
    parser.add_argument(
        "--without", required=True, choices=["attention_by_distance", "fused_attention"]
    )
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    (texts,) = record.read_sample(args.data / "train.parquet", args.texts)
    backbone = Backbone.from_pretrained(args.backbone, device="cpu")
    backbone.embed(texts[:64], progress=False)
    off = mock.patch.object(embed, args.without, side_effect=lambda _: contextlib.nullcontext())
    ways = {"with": contextlib.nullcontext(), "without": off}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for i in range(args.rounds):
        for way in list(ways) if i % 2 else reversed(ways):
            with ways[way]:
                taken = record.seconds(lambda: backbone.embed(texts, progress=False))
            seconds[way].append(taken)
    line = {
        "benchmark": "families",
        "backbone": backbone.name,
        "data": args.data.name,
        "n_texts": len(texts),
        "kernel": fastest_kernel(),
        "without": args.without,
        "seconds": {way: record.spread(own) for way, own in seconds.items()},
        "without_over_with": record.ratios(seconds["without"], seconds["with"]),
    }
    record.write(line, args.out)


if __name__ == "__main__":
    main()
