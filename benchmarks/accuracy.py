"""Accuracy of the default classifier beside its baselines, on official splits.

    python benchmarks/accuracy.py --data DIR --backbone A --backbone B ...

DIR holds train.parquet and test.parquet with columns text and label. The test set is used once.
Prints one JSON line per row of the comparison; ``--out FILE`` appends them to a file. Embeddings
are kept in the user's cache, so a second run only fits.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

import record

from layerfuse import FusionClassifier, load_texts
from layerfuse.report import compare
from layerfuse.report.facts import Quality


def main() -> None:
    """Fit, compare and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", action="append", required=True)
    parser.add_argument("--dtype", default="float32", help="precision of the backbones")
    parser.add_argument("--selector", default="auto")
    parser.add_argument(
        "--fusion", nargs="+", default=["concat"], help="the classifier has the first"
    )
    parser.add_argument("--curve", type=int, nargs="*", default=(), help="training texts per class")
    parser.add_argument(
        "--draws", type=int, default=5, help="draws of texts for each size of the curve"
    )
    parser.add_argument("--seeds", type=int, default=1, help="number of fits of each row")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    started = datetime.now(UTC).isoformat(timespec="seconds")
    train, test = load_texts(args.data / "train.parquet"), load_texts(args.data / "test.parquet")
    classifier = FusionClassifier(
        args.backbone,
        dtype=args.dtype,
        selector=args.selector,
        fusion=args.fusion[0],
        random_state=0,
    )
    report = compare(
        classifier,
        train.texts,
        train.labels,
        test.texts,
        test.labels,
        name=args.data.name,
        fusions=args.fusion[1:],
        curve=args.curve,
        n_draws=args.draws,
        seeds=range(1, args.seeds),
        costs=False,
    )
    setting = {
        "benchmark": "accuracy",
        "started": started,
        "data": args.data.name,
        "n_train": report.data.n_train,
        "n_test": report.data.n_test,
        "backbones": [Path(b).name for b in args.backbone],
        "dtype": args.dtype,
        "selector": args.selector,
        "fusion": report.fusion,
        "layers": len(report.selection),
        "head": report.head,
        "lexical": report.lexical,
        "seed": 0,
        "fit_seconds": round(report.overhead.fit.fit_seconds, 1),
        "peak_memory_mib": round(report.overhead.fit.peak_memory_bytes / 2**20),
    }
    seeds = {row.name: row.accuracy for row in report.seeds.baselines}
    seeds[report.result.name] = report.seeds.accuracy
    for row in (*report.baselines, report.result):
        own = [round(100 * value, 2) for value in seeds.get(row.name, [row.accuracy])]
        line = {"row": row.name, "kind": row.kind, "seed_accuracies": own, **_numbers(row)}
        record.write({**setting, **line}, args.out)
    for point in report.curve:
        accuracies = [round(100 * value, 2) for value in point.accuracy]
        line = {"row": point.name, "n_texts": point.n_texts, "accuracies": accuracies}
        record.write({**setting, "benchmark": "learning curve", **line}, args.out)


def _numbers(row: Quality) -> dict[str, float]:
    numbers = {
        "accuracy": 100 * row.accuracy,
        "low": 100 * row.accuracy_low,
        "high": 100 * row.accuracy_high,
        "macro_f1": 100 * row.macro_f1,
        "log_loss": row.log_loss,
    }
    if row.gain is not None:
        numbers |= {
            "gain_over_row": row.gain.points,
            "gain_low": row.gain.low,
            "gain_high": row.gain.high,
            "mcnemar_p": row.gain.mcnemar_p,
        }
    return {name: round(value, 4) for name, value in numbers.items()}


if __name__ == "__main__":
    main()
