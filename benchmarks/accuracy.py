"""Accuracy of the default classifier beside its baselines, on official splits.

    python benchmarks/accuracy.py --data DIR --backbone A --backbone B ...

DIR holds train.parquet and test.parquet with columns text and label; the test set is touched once.
Prints one JSON line per row of the comparison; ``--out FILE`` appends them to a file. Embeddings
are kept in the user's cache, so that a second run costs only the fit.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

import record

from layerfuse import FusionClassifier, load_texts
from layerfuse.report import compare_with_baselines


def main() -> None:
    """Fit, compare and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", action="append", required=True)
    parser.add_argument("--selector", default="upper_half")
    parser.add_argument("--fusion", default="concat")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    started = datetime.now(UTC).isoformat(timespec="seconds")
    train, test = load_texts(args.data / "train.parquet"), load_texts(args.data / "test.parquet")
    classifier = FusionClassifier(args.backbone, selector=args.selector, fusion=args.fusion)
    classifier.fit(train.texts, train.labels)
    results = compare_with_baselines(classifier, train.texts, train.labels, test.texts, test.labels)
    for result in results:
        record.write(
            {
                "benchmark": "accuracy",
                "started": started,
                "data": args.data.name,
                "row": result.name,
                "accuracy": round(100 * result.accuracy.value, 2),
                "low": round(100 * result.accuracy.low, 2),
                "high": round(100 * result.accuracy.high, 2),
                "gain_over_row": round(100 * result.gain.value, 2),
                "gain_low": round(100 * result.gain.low, 2),
                "gain_high": round(100 * result.gain.high, 2),
                "n_train": len(train.texts),
                "n_test": len(test.texts),
                "backbones": [Path(b).name for b in args.backbone],
                "selector": args.selector,
                "head": classifier.head_.kind,
                "lexical": classifier.head_.lexical is not None,
                "fit_seconds": round(classifier.overhead_.wall_seconds, 1),
            },
            args.out,
        )


if __name__ == "__main__":
    main()
