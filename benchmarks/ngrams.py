"""What character n-grams add to the TF-IDF head, on held-out training texts and development texts.

    python benchmarks/ngrams.py --data DIR/mr --out FILE

DIR/mr holds train.parquet and perhaps dev.parquet, with columns text and label; no test text is
read. Prints one JSON line: log loss, accuracy and seconds of the TF-IDF head without and with
n-grams, each cross-validated on the training texts; the gain in log loss with its standard error;
and the same on the development texts, if there are any.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import record

from layerfuse.core.calibrate import text_log_losses
from layerfuse.core.supervision import Supervision
from layerfuse.train import fit_lexical, repeat_groups


def main() -> None:
    """Fit without and with n-grams, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    texts, labels = record.read_sample(args.data / "train.parquet", None, ("text", "label"))
    names, classes = np.unique(labels, return_inverse=True)
    supervision = Supervision.of(classes, groups=repeat_groups(texts))
    fits, seconds = [], []
    for ngrams in (False, True):
        started = time.perf_counter()
        fits.append(fit_lexical(texts, supervision, ngrams=ngrams))
        seconds.append(round(time.perf_counter() - started, 1))
    held_out = [candidate.held_out for candidate, _ in fits]
    line = {
        "benchmark": "ngrams",
        "data": args.data.name,
        "held_out": _compared(held_out, classes, supervision.groups),
        "seconds": seconds,
        "dev": None,
    }
    dev = args.data / "dev.parquet"
    if dev.exists():
        dev_texts, dev_labels = record.read_sample(dev, None, ("text", "label"))
        predicted = [head.log_probabilities(dev_texts) for _, head in fits]
        line["dev"] = _compared(predicted, np.searchsorted(names, dev_labels), None)
    record.write(line, args.out)


def _compared(
    log_probabilities: list[np.ndarray], truth: np.ndarray, groups: np.ndarray | None
) -> dict[str, Any]:
    """Return the quality without and with n-grams, and the gain in log loss.

    A group of near-duplicates counts as one draw in the standard error.
    """
    losses = [text_log_losses(each, truth) for each in log_probabilities]
    gains = losses[0] - losses[1]
    groups = np.arange(len(gains)) if groups is None else groups
    error = np.sqrt(np.square(np.bincount(groups, weights=gains - gains.mean())).sum()) / len(gains)
    return {
        "n_texts": len(truth),
        "log_loss": [round(float(each.mean()), 4) for each in losses],
        "accuracy": [
            round(100 * float((each.argmax(1) == truth).mean()), 2) for each in log_probabilities
        ],
        "gain": round(float(gains.mean()), 4),
        "standard_error": round(float(error), 4),
    }


if __name__ == "__main__":
    main()
