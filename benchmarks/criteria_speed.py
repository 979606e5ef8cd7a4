"""Time of two criteria, beside their minimum of linear algebra and beside a peer.

    python benchmarks/criteria_speed.py --out FILE

``loo_ridge`` on 13 layers of 60,000 texts and 768 features is compared with one Gram product and
one symmetric eigendecomposition of each layer, ``logme`` with that of transformer-ranker on the
same matrices, one layer at a time.
"""

import argparse
from pathlib import Path

import numpy as np
import record
import torch
from transformer_ranker.estimators.logme import LogME

from layerfuse.core.arrays import Features
from layerfuse.core.layers import LayerEmbeddings, LayerRef
from layerfuse.score import score_layers
from layerfuse.score.logme import logme


def main() -> None:
    """Run both comparisons."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--texts", type=int, default=60_000)
    parser.add_argument("--features", type=int, default=768)
    parser.add_argument("--layers", type=int, default=13)
    parser.add_argument("--classes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--peer-layers", type=int, default=2, help="layers for the peer, which is slow"
    )
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    labels = np.random.default_rng(0).integers(args.classes, size=args.texts)
    size = {
        "n_texts": args.texts,
        "n_features": args.features,
        "n_layers": args.layers,
        "n_classes": args.classes,
    }
    record.write({"benchmark": "loo_ridge", **size, **_ridge(args, labels)}, args.out)
    size["n_layers"] = args.peer_layers
    record.write({"benchmark": "logme", **size, **_evidence(args, labels)}, args.out)


def _layer(args: argparse.Namespace, labels: np.ndarray, seed: int) -> Features:
    """Return one layer whose spectrum decays like that of a transformer."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((args.texts, args.features), dtype=np.float32)
    features *= np.arange(1, args.features + 1, dtype=np.float32) ** -0.5
    features[:, : args.classes] += 0.3 * np.eye(args.classes, dtype=np.float32)[labels]
    mix = np.linalg.qr(rng.standard_normal((args.features, args.features)))[0]
    return features @ mix.astype(np.float32)


def _ridge(args: argparse.Namespace, labels: np.ndarray) -> dict:
    rows = np.stack([_layer(args, labels, layer) for layer in range(args.layers)])
    refs = tuple(LayerRef("drawn", layer, "mean") for layer in range(args.layers))
    block = LayerEmbeddings(rows, refs)
    score_layers(LayerEmbeddings(rows[:1], refs[:1]), labels)
    ours, least = [], []
    for _ in range(args.rounds):
        least.append(record.seconds(lambda: [np.linalg.eigh(x.T @ x) for x in rows]))
        ours.append(record.seconds(lambda: score_layers(block, labels)))
    return {
        "seconds": {"loo_ridge": record.spread(ours), "gram_and_eigh": record.spread(least)},
        "ratio": record.ratios(ours, least),
    }


def _evidence(args: argparse.Namespace, labels: np.ndarray) -> dict:
    ours, theirs = np.zeros(args.rounds), np.zeros(args.rounds)
    classes, gaps = torch.from_numpy(labels), []
    for layer in range(args.peer_layers):
        features = _layer(args, labels, layer)
        tensor = torch.from_numpy(features)
        for i in range(args.rounds):
            ours[i] += record.seconds(lambda x=features: logme(x, labels))
            theirs[i] += record.seconds(lambda x=tensor: LogME().fit(x, classes))
        gaps.append(abs(logme(features, labels) - LogME().fit(tensor, classes)))
    return {
        "seconds": {
            "logme": record.spread(ours.tolist()),
            "transformer-ranker": record.spread(theirs.tolist()),
        },
        "ratio": record.ratios(theirs.tolist(), ours.tolist()),
        "largest_difference": max(gaps),
    }


if __name__ == "__main__":
    main()
