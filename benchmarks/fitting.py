"""``fit`` without a cache against sentence-transformers with a logistic regression.

    python benchmarks/fitting.py --data DIR/mr --backbone A --backbone B --out FILE

Both get the same texts and weights. The second embeds with the last layer of each backbone,
concatenates them and fits ``LogisticRegression``. Both run interleaved, without a cache.
"""

import argparse
from pathlib import Path

import numpy as np
import peers
import record
import torch
from sklearn.linear_model import LogisticRegression

from layerfuse import Backbone, FusionClassifier


def main() -> None:
    """Run one case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", action="append", type=Path, required=True)
    parser.add_argument("--texts", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    texts, labels = record.read_sample(args.data / "train.parquet", args.texts, ("text", "label"))

    def ours() -> None:
        FusionClassifier(
            [str(b) for b in args.backbone], cache=None, progress=False, device="cpu"
        ).fit(texts, labels)

    def theirs() -> None:
        vectors = [
            peers.sentence_transformers(folder, 512, torch.float32)(texts).numpy()
            for folder in args.backbone
        ]
        LogisticRegression(max_iter=1000).fit(np.concatenate(vectors, axis=1), labels)

    # The times of imports and first calls are not counted.
    Backbone.from_pretrained(args.backbone[0], device="cpu").embed(texts[:200], progress=False)
    peers.sentence_transformers(args.backbone[0], 512, torch.float32)(texts[:200])
    times: dict[str, list[float]] = {"layerfuse": [], "sentence-transformers": []}
    for _ in range(args.rounds):
        times["layerfuse"].append(record.seconds(ours))
        times["sentence-transformers"].append(record.seconds(theirs))
    record.write(
        {
            "benchmark": "fit from nothing",
            "data": args.data.name,
            "n_texts": len(texts),
            "backbones": [b.name for b in args.backbone],
            "seconds": {name: record.spread(values) for name, values in times.items()},
            "ratio": record.ratios(times["sentence-transformers"], times["layerfuse"]),
        },
        args.out,
    )


if __name__ == "__main__":
    main()
