"""Prediction by a fused classifier, with backbones cut at the deepest layer in use and uncut.

    python benchmarks/prediction.py --data DIR/mr --backbone A --backbone B --out FILE

Fits on a sample of train.parquet and predicts texts of test.parquet, cut and uncut interleaved:
seconds for all texts and milliseconds for a single one, parameters kept, and start-up time of the
command with one line. ``--depth 0.5`` instead compares one backbone cut at that share of its blocks
with the whole one.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import record

from layerfuse import Backbone, FusionClassifier

_SINGLE = 40


def main() -> None:
    """Run one case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", action="append", required=True)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--selector", default="greedy")
    parser.add_argument("--depth", type=float)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    (tests,) = record.read_sample(args.data / "test.parquet", args.texts)
    line = {"data": args.data.name, "n_texts": len(tests)}
    if args.depth is not None:
        record.write({**line, **_half(args, tests)}, args.out)
    else:
        record.write({**line, **_classifier(args, tests)}, args.out)


def _half(args: argparse.Namespace, tests: list[str]) -> dict:
    whole = Backbone.from_pretrained(args.backbone[0], pooling="mean", device="cpu")
    cut = whole.cut(round(args.depth * whole.deepest))
    for backbone in (whole, cut):
        backbone.embed(tests[:100], [backbone.deepest], progress=False)
    many, one = {"whole": [], "cut": []}, {"whole": [], "cut": []}
    for _ in range(args.rounds):
        for name, backbone in {"whole": whole, "cut": cut}.items():
            last = [backbone.deepest]
            many[name].append(
                record.seconds(lambda b=backbone, at=last: b.embed(tests, at, progress=False))
            )
            one[name] += [
                record.seconds(lambda b=backbone, at=last, t=text: b.embed([t], at, progress=False))
                for text in tests[:_SINGLE]
            ]
    return {
        "benchmark": "half depth",
        "backbone": whole.name,
        "blocks": [whole.deepest, cut.deepest],
        "throughput_ratio": record.ratios(many["whole"], many["cut"]),
        "latency_ratio_p50": round(float(np.median(one["whole"]) / np.median(one["cut"])), 2),
        "latency_ms_p50": {k: round(1e3 * float(np.median(v)), 2) for k, v in one.items()},
        "parameters": [whole.n_parameters, cut.n_parameters],
    }


def _classifier(args: argparse.Namespace, tests: list[str]) -> dict:
    texts, labels = record.read_sample(args.data / "train.parquet", 1000, ("text", "label"))
    cut = FusionClassifier(args.backbone, selector=args.selector, progress=False, device="cpu")
    whole_backbones = cut.load_backbones()
    cut.fit(texts, labels)
    cut_backbones = cut.backbones_
    whole = {b.name: _Uncut(b) for b in whole_backbones if b.name in cut_backbones}
    cut.predict(tests[:100])
    many, one = {"whole": [], "cut": []}, {"whole": [], "cut": []}
    for _ in range(args.rounds):
        for name, backbones in {"whole": whole, "cut": cut_backbones}.items():
            cut.backbones_ = backbones
            many[name].append(record.seconds(lambda: cut.predict(tests)))
            one[name] += [
                record.seconds(lambda t=text: cut.predict([t])) for text in tests[:_SINGLE]
            ]
    cut.backbones_ = cut_backbones
    return {
        "benchmark": "prediction",
        "backbones": [Path(b).name for b in args.backbone],
        "selection": [str(ref) for ref in cut.selection_],
        "seconds": {name: record.spread(values) for name, values in many.items()},
        "throughput_ratio": record.ratios(many["whole"], many["cut"]),
        "latency_ms_p50_p95": {
            name: [round(1e3 * float(q), 1) for q in np.quantile(values, [0.5, 0.95])]
            for name, values in one.items()
        },
        "parameters": [
            sum(b.n_parameters for b in whole.values()),
            sum(b.n_parameters for b in cut_backbones.values()),
        ],
        "startup_seconds": _startup(cut, args.rounds),
    }


class _Uncut:
    """A backbone that always runs all blocks, as if it were never cut and had no hooks."""

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self.n_parameters = backbone.n_parameters

    def embed_refs(self, texts: list[str], refs: tuple, *, progress: bool) -> object:
        end = self.backbone.refs[-1]
        return self.backbone.embed_refs(texts, (*refs, *({end} - {*refs})), progress=progress)


def _startup(classifier: FusionClassifier, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of ``--help`` and of predicting one line in new processes."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "classifier"
        classifier.save(place, include_backbones=True)
        commands = {"--help": ["--help"], "predict one line": ["predict", place, "--offline"]}
        return {
            name: record.spread(
                [
                    record.seconds(
                        lambda a=arguments: subprocess.run(
                            [sys.executable, "-m", "layerfuse", *a],
                            input=b"A quiet film.\n",
                            capture_output=True,
                            check=True,
                        )
                    )
                    for _ in range(rounds)
                ]
            )
            for name, arguments in commands.items()
        }


if __name__ == "__main__":
    main()
