"""Held-out accuracy and log loss of fusions on random labels, where there is nothing to learn.

    python benchmarks/random_labels.py --texts 12 24 64 96 400 --draws 24

The data are four random blocks of two sources and two classes. Prints one JSON line per fusion and
number of texts: means over draws of held-out accuracy and log loss of the best head, the accuracy
of each draw, and the mean log loss on 500 new texts. Honest values are an accuracy of one half and
a log loss of 0.693.
"""

import argparse
from pathlib import Path

import numpy as np
import record

from layerfuse import LayerRef
from layerfuse.core.supervision import Supervision
from layerfuse.fuse import FUSIONS
from layerfuse.train import fit_head

_REFS = tuple(LayerRef(name, layer, "mean") for layer in (1, 2) for name in ("a", "b"))
_WIDTHS = (32, 384, 32, 384)
_NEW = 500


def main() -> None:
    """Fit on every draw and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--texts", type=int, nargs="+", default=[12, 24, 64, 96])
    parser.add_argument("--fusions", nargs="+", choices=FUSIONS, default=["concat", "stacking"])
    parser.add_argument("--draws", type=int, default=24)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    for n_texts in args.texts:
        for fusion in args.fusions:
            found = np.array([_draw(fusion, n_texts, seed) for seed in range(args.draws)])
            accuracy, log_loss, new = found.mean(0)
            line = {
                "benchmark": "random labels",
                "fusion": fusion,
                "n_texts": n_texts,
                "accuracy": round(accuracy, 3),
                "log_loss": round(log_loss, 3),
                "new_log_loss": round(new, 3),
                "accuracies": found[:, 0].round(2).tolist(),
            }
            record.write(line, args.out)


def _draw(fusion: str, n_texts: int, seed: int) -> tuple[float, float, float]:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n_texts) % 2)
    blocks, others = ([_block(rng, n, width) for width in _WIDTHS] for n in (n_texts, _NEW))
    supervision = Supervision.of(labels)
    fitted, vectors = FUSIONS[fusion].fit_fuse(blocks, _REFS, supervision)
    head, candidates = fit_head(vectors, supervision)
    best = min(candidates, key=lambda one: one.log_loss)
    said = head.log_probabilities(fitted.fuse(others))
    return best.accuracy, best.log_loss, float(-said[np.arange(_NEW), np.arange(_NEW) % 2].mean())


def _block(rng: np.random.Generator, n_texts: int, width: int) -> np.ndarray:
    spread = np.linspace(1, 0.05, width)
    return (rng.normal(size=(n_texts, width)) * spread).astype(np.float32)


if __name__ == "__main__":
    main()
