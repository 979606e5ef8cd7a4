"""Confidence of logistic regression on few texts, with and without its fitted temperature.

    python benchmarks/temperature.py

The data are six Gaussian classes of different means in 384 dimensions, the width of a small
encoder. Heads are fitted on a number of texts and judged on 3,000 new ones. Prints a JSON line for
each number of texts: log loss, mean confidence and accuracy.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np
import record

from layerfuse.core.supervision import Supervision
from layerfuse.train import fit_head

N_CLASSES, WIDTH, N_NEW = 6, 384, 3000


def main() -> None:
    """Fit and judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--texts", type=int, nargs="+", default=[100, 200, 500, 1000])
    parser.add_argument(
        "--apart",
        type=float,
        default=4.0,
        help="distance of the class means, in standard deviations",
    )
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    for n_texts in args.texts:
        features, labels = _draw(n_texts, args.apart, seed=0)
        others, truth = _draw(N_NEW, args.apart, seed=1)
        head, _ = fit_head(features, Supervision.of(labels), head="logistic")
        plain = dataclasses.replace(head, temperature=1.0)
        with_one, without = (h.probabilities(others) for h in (head, plain))
        line = {
            "benchmark": "temperature",
            "n_texts": n_texts,
            "temperature": round(head.temperature, 3),
            "accuracy": round(100 * float((with_one.argmax(1) == truth).mean()), 2),
            "confidence": [round(100 * float(p.max(1).mean()), 2) for p in (without, with_one)],
            "log_loss": [
                round(float(-np.log(p[np.arange(N_NEW), truth]).mean()), 3)
                for p in (without, with_one)
            ],
        }
        record.write(line, args.out)


def _draw(n_texts: int, apart: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(n_texts) % N_CLASSES
    features = rng.normal(size=(n_texts, WIDTH)).astype(np.float32)
    features[np.arange(n_texts), labels] += apart
    return features, labels


if __name__ == "__main__":
    main()
