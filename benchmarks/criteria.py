"""How well each criterion picks a layer: regret and rank correlation under one protocol.

    python benchmarks/criteria.py --data DIR/mr --backbone FOLDER --out FILE

DIR/mr holds train.parquet and test.parquet with columns text and label; ``--train N`` and
``--test N`` take a sample of each, and ``--criterion NAME`` runs one criterion alone. For
every layer, a ridge probe is fitted on the training texts and its accuracy measured on the test
texts. Criteria see only the training texts. Prints one JSON line:

- ``accuracy``: accuracy of the probe, by layer;
- ``criteria``: by criterion and seed, the layer picked, its regret (accuracy of the best layer less
  that of the one picked, in points), the rank correlation (Spearman) of the scores with the
  accuracies over the layers, and the seconds it took;
- ``rules``: the regret of the last, the middle and the layer at two thirds, under ``mean``, and
  that of a layer drawn at random, on average;
- ``half``: the regret that chance alone causes. Test texts are halved many times. Mean regret on
  one half of the layer that ``loo_ridge`` picks on training texts, and of the layer that is best on
  the other half.

Picking one of several equally accurate layers has no regret. A layer without a score, such as the
embedding output, which has no attention, is neither picked nor ranked.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import record
from scipy.stats import spearmanr

from layerfuse import Backbone, LayerRef
from layerfuse.classifier import gather_signals
from layerfuse.core.signals import LayerSignals
from layerfuse.core.standardize import Standardizer
from layerfuse.core.supervision import Supervision
from layerfuse.extract import DEFAULT_CACHE, StoredEmbeddings, embed_to_store, store_at
from layerfuse.score import (
    CRITERION_NAMES,
    CriterionInfo,
    CriterionName,
    attention_entropy,
    criterion_info,
    importance,
    score_layers,
)
from layerfuse.train import fit_head

_SEEDS = 3  # for criteria that use a sample of texts
_HALVES = 200  # ways to halve the test texts


def main() -> None:
    """Run one backbone on one data set."""
    args = _arguments()
    (train, train_labels), (test, test_labels) = (
        record.read_sample(args.data / f"{part}.parquet", n_texts, ("text", "label"))
        for part, n_texts in (("train", args.train), ("test", args.test))
    )
    train, train_labels = _without_lone_labels(train, train_labels)
    names, classes = np.unique(train_labels, return_inverse=True)
    backbone = Backbone.from_pretrained(args.backbone, max_tokens=args.max_tokens, dtype=args.dtype)
    with store_at(DEFAULT_CACHE) as store:
        stored = embed_to_store(backbone, train, store)
        held_out = embed_to_store(backbone, test, store)
        right = {
            ref: _right(stored, held_out, ref, classes, names, np.array(test_labels))
            for ref in stored.refs
        }
        accuracies = {ref: float(of_layer.mean()) for ref, of_layer in right.items()}
        # Each signal is gathered once per seed; its time is added to every criterion that needs it.
        judged = [one for one in _criteria() if args.criterion in (None, one[0].name)]
        needed = {(name, seed) for info, seeds in judged for name in info.signals for seed in seeds}
        gathered = {
            (name, seed): _timed_signals(name, stored, train_labels, seed)
            for name, seed in sorted(needed)
        }
        criteria = {
            info.name: [
                _judge(
                    info, stored, train_labels, accuracies, [gathered[n, s] for n in info.signals]
                )
                for s in seeds
            ]
            for info, seeds in judged
        }
    record.write(
        {
            "benchmark": "criteria",
            "backbone": backbone.name,
            "data": args.data.name,
            "n_train": len(train),
            "n_test": len(test),
            "max_tokens": backbone.spec.max_tokens,
            "dtype": args.dtype,
            "accuracy": {str(ref): round(100 * value, 2) for ref, value in accuracies.items()},
            "criteria": criteria,
            "rules": _rules(backbone, accuracies),
            "half": _half(right, score_layers(stored, train_labels, "loo_ridge").best),
        },
        args.out,
    )


def _criteria() -> list[tuple[CriterionInfo, range]]:
    """Return every criterion with its seeds, that of the paper with both directions of entropy."""
    infos = [criterion_info(name) for name in CRITERION_NAMES]
    infos += [attention_entropy("high"), importance(prefer="high")]
    infos += [importance(gradient="backbone_gradient")]
    infos += [importance(prefer="high", gradient="backbone_gradient")]
    return [(info, range(_SEEDS if info.signals else 1)) for info in infos]


def _timed_signals(
    name: CriterionName, stored: StoredEmbeddings, labels: list[Any], seed: int
) -> tuple[LayerSignals, float]:
    started = time.perf_counter()
    (signals,) = gather_signals([stored], labels, [name], random_state=seed)
    return signals, time.perf_counter() - started


def _judge(
    info: CriterionInfo,
    stored: StoredEmbeddings,
    labels: list[Any],
    accuracies: Mapping[LayerRef, float],
    gathered: Sequence[tuple[LayerSignals, float]],
) -> dict[str, Any]:
    started = time.perf_counter()
    scores = score_layers(stored, labels, info, signals=[signals for signals, _ in gathered])
    seconds = time.perf_counter() - started + sum(took for _, took in gathered)
    reached = np.array([accuracies[ref] for ref in scores.refs])
    constant = np.ptp(scores.values) == 0 or np.ptp(reached) == 0
    return {
        "layer": str(scores.best),
        "regret": round(100 * (max(accuracies.values()) - accuracies[scores.best]), 2),
        "rank_correlation": 0.0 if constant else round(spearmanr(scores.values, reached)[0], 3),
        "seconds": round(seconds, 2),
    }


def _rules(backbone: Backbone, accuracies: Mapping[LayerRef, float]) -> dict[str, float]:
    """Return the regret in points of rules that use no data."""
    n_layers, best = backbone.spec.n_layers, max(accuracies.values())
    depths = {"last": n_layers, "middle": n_layers / 2, "two thirds": 2 * n_layers / 3}
    picked = {
        rule: accuracies[LayerRef(backbone.name, round(depth), "mean")]
        for rule, depth in depths.items()
    }
    picked["random"] = float(np.mean(list(accuracies.values())))
    return {rule: round(100 * (best - accuracy), 2) for rule, accuracy in picked.items()}


def _half(right: Mapping[LayerRef, np.ndarray], picked: LayerRef) -> dict[str, float]:
    """Return the regret on one half of the test texts, in points, of both layers (see ``half``)."""
    told = np.stack(list(right.values()))  # (layer, text)
    position = list(right).index(picked)
    rng = np.random.default_rng(0)
    regrets = []
    for _ in range(_HALVES):
        one, other = np.array_split(rng.permutation(told.shape[1]), 2)
        known, judged = told[:, one].mean(1), told[:, other].mean(1)
        best_known = judged[known == known.max()].mean()
        regrets.append([judged.max() - judged[position], judged.max() - best_known])
    by_training, by_other_half = 100 * np.mean(regrets, axis=0)
    return {"loo_ridge": round(by_training, 2), "other half": round(by_other_half, 2)}


def _right(
    train: StoredEmbeddings,
    test: StoredEmbeddings,
    ref: LayerRef,
    classes: np.ndarray,
    names: np.ndarray,
    truth: np.ndarray,
) -> np.ndarray:
    """Return for each test text whether a probe of one layer is right."""
    features = train.row(ref)
    standard = Standardizer.fit(features)
    if not standard.scale.any():  # the first token's embedding is the same for every text
        return np.asarray(names[np.bincount(classes).argmax()] == truth)
    head, _ = fit_head(standard.apply(features), Supervision.of(classes), head="ridge")
    predicted = names[head.decisions(standard.apply(test.row(ref))).argmax(1)]
    return np.asarray(predicted == truth)


def _without_lone_labels(texts: list[str], labels: list[Any]) -> tuple[list[str], list[Any]]:
    """Leave out classes of which the sample has one text: no probe can be validated on them."""
    names, counts = np.unique(labels, return_counts=True)
    usable = set(names[counts > 1].tolist())
    kept = [i for i, label in enumerate(labels) if label in usable]
    return [texts[i] for i in kept], [labels[i] for i in kept]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--train", type=int)
    parser.add_argument("--test", type=int)
    parser.add_argument("--max-tokens", type=int)
    parser.add_argument("--criterion", choices=[info.name for info, _ in _criteria()])
    parser.add_argument("--dtype", default="float32", help="precision of the backbone")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
