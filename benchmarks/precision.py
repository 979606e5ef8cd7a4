"""What bfloat16 changes: vectors, layer scores and predictions against those of float32.

    python benchmarks/precision.py --data DIR/mr --backbone FOLDER --train 1000 --test 1000

A ridge probe is trained and tested on every layer in either precision. The line has the lowest
cosine of any vector of any layer, the accuracy of the probe on the layer with the best score in
float32, how often both probes predict the same, and the same for the concatenated upper half.
"""

import argparse
from pathlib import Path

import numpy as np
import record

from layerfuse import Backbone, score_layers, select_layers
from layerfuse.core.layers import LayerEmbeddings
from layerfuse.core.supervision import Supervision
from layerfuse.fuse import Concat
from layerfuse.train import fit_head


def main() -> None:
    """Run one case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--train", type=int, default=1000)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    columns = ("text", "label")
    texts, labels = record.read_sample(args.data / "train.parquet", args.train, columns)
    tests, truth = record.read_sample(args.data / "test.parquet", args.test, columns)
    embedded = {}
    for dtype in ("float32", "bfloat16"):
        backbone = Backbone.from_pretrained(args.backbone, dtype=dtype, device="cpu")
        embedded[dtype] = [backbone.embed(part) for part in (texts, tests)]
    scores = score_layers(embedded["float32"][0], labels)
    chosen = {"best layer": (scores.best,), "upper half": select_layers(scores, "upper_half").refs}
    line = {
        "benchmark": "precision",
        "backbone": backbone.name,
        "data": args.data.name,
        "n_train": len(texts),
        "n_test": len(tests),
        "best_layer": {
            dtype: str(score_layers(train, labels).best) for dtype, (train, _) in embedded.items()
        },
        "lowest_cosine": min(
            _lowest_cosine(one, other)
            for one, other in zip(embedded["float32"], embedded["bfloat16"], strict=True)
        ),
    }
    for name, refs in chosen.items():
        predicted = {d: _predict(*parts, refs, labels) for d, parts in embedded.items()}
        line[name] = {
            **{d: round(100 * float((p == truth).mean()), 2) for d, p in predicted.items()},
            "agreement": round(
                100 * float((predicted["float32"] == predicted["bfloat16"]).mean()), 2
            ),
        }
    record.write(line, args.out)


def _lowest_cosine(one: LayerEmbeddings, other: LayerEmbeddings) -> float:
    a, b = one.values.astype(np.float64), other.values.astype(np.float64)
    cosine = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    return round(float(cosine.min()), 6)


def _predict(
    train: LayerEmbeddings, test: LayerEmbeddings, refs: tuple, labels: list
) -> np.ndarray:
    names, classes = np.unique(labels, return_inverse=True)
    blocks = [train.row(ref) for ref in refs]
    fusion = Concat.fit(blocks)
    head, _ = fit_head(fusion.fuse(blocks), Supervision.of(classes), head="ridge")
    return names[head.decisions(fusion.fuse([test.row(ref) for ref in refs])).argmax(1)]


if __name__ == "__main__":
    main()
