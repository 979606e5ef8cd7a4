"""Log loss of a head with the TF-IDF head, fitted on few texts and judged on other training texts.

    python benchmarks/few_texts.py --data DIR/r8 --classes earn acq --backbone FOLDER --texts 20 80

Features are the last layer of one backbone, or with ``--fusion NAME`` the deeper half of its
layers, fused. 600 training texts are embedded once; half of them are drawn from, half judge. No
test text is read. Prints one JSON line per number of texts: the mean and the worst log loss over
draws, and the mean of its held-out estimate. Comparing two commits shows the effect of a change to
heads, pools or fusions.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import record

from layerfuse import Backbone, LayerRef, load_texts
from layerfuse.core.standardize import Standardizer
from layerfuse.core.supervision import Supervision
from layerfuse.fuse import FUSIONS
from layerfuse.train import fit_head, fit_words, join_words, repeat_groups

_POOL = 300


def main() -> None:
    """Fit on every draw and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--classes", nargs="*", help="only texts of these classes")
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--texts", type=int, nargs="+", default=[20, 80, 200])
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--fusion", choices=FUSIONS)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    texts, labels = _sample(args)
    backbone = Backbone.from_pretrained(args.backbone, device="cpu")
    embeddings = backbone.embed(texts)
    deepest = embeddings.refs[-1].layer
    refs = [ref for ref in embeddings.refs if 2 * ref.layer >= deepest]
    refs = refs if args.fusion else [embeddings.refs[-1]]
    blocks = [embeddings.row(ref) for ref in refs]
    for n_texts in args.texts:
        found = [
            _log_losses(texts, labels, blocks, refs, args.fusion, n_texts, draw)
            for draw in range(args.draws)
        ]
        losses, stated = zip(*found, strict=True)
        line = {
            "benchmark": "few_texts",
            "data": args.data.name,
            "classes": args.classes,
            "backbone": Path(args.backbone).name,
            "fusion": args.fusion,
            "n_texts": n_texts,
            "stated": round(float(np.mean(stated)), 4),
            "log_loss": round(float(np.mean(losses)), 4),
            "worst": round(max(losses), 4),
        }
        record.write(line, args.out)


def _sample(args: argparse.Namespace) -> tuple[list[str], np.ndarray]:
    train = load_texts(args.data / "train.parquet")
    names = np.array([str(label) for label in train.labels])
    wanted = np.isin(names, args.classes) if args.classes else np.ones(len(names), bool)
    rows = np.random.default_rng(0).permutation(np.flatnonzero(wanted))[: 2 * _POOL]
    if len(rows) < 2 * _POOL:
        sys.exit(
            f"Expected {2 * _POOL} training texts or more of these classes, found {len(rows)}."
        )
    return [train.texts[i] for i in rows], np.unique(names[rows], return_inverse=True)[1]


def _log_losses(
    texts: list[str],
    labels: np.ndarray,
    blocks: list[np.ndarray],
    refs: list[LayerRef],
    fusion: str | None,
    n_texts: int,
    draw: int,
) -> tuple[float, float]:
    """Return the log loss on the texts that judge, and its held-out estimate."""
    rows = np.random.default_rng(draw).permutation(_POOL)[:n_texts]
    counts = np.bincount(labels[rows], minlength=labels.max() + 1)
    rows = rows[counts[labels[rows]] > 1]
    known, classes = np.unique(labels[rows], return_inverse=True)
    judges = _POOL + np.flatnonzero(np.isin(labels[_POOL:], known))
    own = [texts[i] for i in rows]
    supervision = Supervision.of(classes, groups=repeat_groups(own))
    drawn, others = ([block[some] for block in blocks] for some in (rows, judges))
    if fusion is None:
        scaler = Standardizer.fit(drawn[0])
        vectors, new = scaler.apply(drawn[0]), scaler.apply(others[0])
    else:
        fused, vectors = FUSIONS[fusion].fit_fuse(
            drawn, refs, replace(supervision, random_state=draw)
        )
        new = fused.fuse(others)
    head, candidates = fit_head(vectors, supervision)
    words = fit_words(own, supervision)
    pooled, candidates = join_words(head, candidates, supervision, words)
    stated = next(one.log_loss for one in candidates if one.kind == pooled.candidate)
    chances = pooled.probabilities(new, [texts[i] for i in judges])
    truth = np.searchsorted(known, labels[judges])
    right = chances[np.arange(len(judges)), truth]
    return float(-np.log(np.maximum(right, np.finfo(float).tiny)).mean()), stated


if __name__ == "__main__":
    main()
