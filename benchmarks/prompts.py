"""What a prompt gains: the same backbones with and without it, on the same texts.

    python benchmarks/prompts.py --data DIR --asked FOLDER --prompt "Review: {text} It was"

Uses one sample of train.parquet and one of test.parquet. Backbones given as ``--asked`` embed with
and without the prompt, others (``--backbone``) without. Prints a JSON line with the prompt and one
without: accuracy of ``fit`` with its defaults on the whole sample and on few texts per class, and
the paired gain of the prompt.
"""

import argparse
from pathlib import Path

import numpy as np
import record

from layerfuse import Backbone, FusionClassifier
from layerfuse.extract import DEFAULT_CACHE, store_at
from layerfuse.report.baselines import RESULT
from layerfuse.report.curve import learning_curve
from layerfuse.report.quality import gain_over
from layerfuse.report.split import Split
from layerfuse.report.trial import Trial, embed_split
from layerfuse.store import EmbeddingStore


def main() -> None:
    """Fit with and without the prompt."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--asked", type=Path, action="append", required=True)
    parser.add_argument("--backbone", type=Path, action="append", default=[])
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--train", type=int, default=2000)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument(
        "--curve", type=int, nargs="*", default=[8, 32], help="training texts per class"
    )
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    train, test = (
        record.read_sample(args.data / f"{side}.parquet", n_texts, ("text", "label"))
        for side, n_texts in (("train", args.train), ("test", args.test))
    )
    split = Split.of(*train, *test)
    with store_at(DEFAULT_CACHE) as store:
        _run(args, split, store)


def _run(args: argparse.Namespace, split: Split, store: EmbeddingStore) -> None:
    plain = None
    for prompt in ("", args.prompt):
        trial = _trial(args, split, store, prompt)
        probabilities = trial.result()
        right = probabilities.argmax(1) == trial.truth
        gain = None if plain is None else gain_over(right, plain)
        plain = right
        points = learning_curve(trial, args.curve, args.draws)
        few = [p for p in points if p.name == RESULT and p.n_texts < len(split.texts)]
        truth = probabilities[np.arange(len(right)), trial.truth]
        line = {
            "benchmark": "prompts",
            "data": args.data.name,
            "asked": [folder.name for folder in args.asked],
            "backbones": [folder.name for folder in args.backbone],
            "dtype": args.dtype,
            "n_train": len(split.texts),
            "n_test": len(right),
            "prompt": prompt,
            "accuracy": round(100 * float(right.mean()), 4),
            "log_loss": round(float(-np.log(np.maximum(truth, 1e-300)).mean()), 4),
            "gain": gain and [round(value, 4) for value in (gain.points, gain.low, gain.high)],
            "few": {str(p.n_texts): [round(100 * a, 2) for a in p.accuracy] for p in few},
            "layers": [str(ref) for ref in trial.classifier.selection_],
        }
        record.write(line, args.out)


def _trial(args: argparse.Namespace, split: Split, store: EmbeddingStore, prompt: str) -> Trial:
    backbones = [
        Backbone.from_pretrained(folder, prompt=one, dtype=args.dtype, device="cpu")
        for folders, one in ((args.asked, prompt), (args.backbone, ""))
        for folder in folders
    ]
    sides = embed_split(split, backbones, store, progress=True)
    classifier = FusionClassifier(backbones, dtype=args.dtype, device="cpu", progress=False)
    return Trial.fit(classifier, split, *sides)


if __name__ == "__main__":
    main()
