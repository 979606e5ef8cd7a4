"""Seconds of extraction under several token budgets, interleaved in one process.

    python benchmarks/budgets.py --data DIR/mr --backbone FOLDER --texts 300 --tokens 512 1024

Prints one JSON line: the seconds of each budget, and their ratios to the last one, round by round.
"""

import argparse
from pathlib import Path

import record

from layerfuse import Backbone
from layerfuse.backbone import fastest_kernel


def main() -> None:
    """Run one backbone on a sample of one data set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--tokens", type=int, nargs="+", default=[512, 1024])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    (texts,) = record.read_sample(args.data / "train.parquet", args.texts)
    backbone = Backbone.from_pretrained(args.backbone, device="cpu")
    backbone.embed(texts[:64], progress=False)
    seconds: dict[int, list[float]] = {tokens: [] for tokens in args.tokens}
    for i in range(args.rounds):
        for tokens in args.tokens if i % 2 else args.tokens[::-1]:
            backbone.budget.tokens = tokens
            seconds[tokens].append(record.seconds(lambda: backbone.embed(texts, progress=False)))
    line = {
        "benchmark": "budgets",
        "backbone": backbone.name,
        "data": args.data.name,
        "n_texts": len(texts),
        "kernel": fastest_kernel(),
        "seconds": {str(tokens): record.spread(own) for tokens, own in seconds.items()},
        "over_the_last": {
            str(tokens): record.ratios(own, seconds[args.tokens[-1]])
            for tokens, own in seconds.items()
        },
    }
    record.write(line, args.out)


if __name__ == "__main__":
    main()
