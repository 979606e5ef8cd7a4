"""Time and memory of attention and gradients on 500 texts, beside the extraction of all texts.

    python benchmarks/signals.py --data DIR/mr --backbone FOLDER --texts 2000

Both run one after the other, as in ``fit``: all texts to a store, then the signals that the
criteria ``attention_entropy`` and ``backbone_gradient`` need, with the fit of the probe. The share
is relative to the extraction of 10,000 texts, whose time is scaled from that of ``--texts``. Memory
is the peak resident size of either in the first round. ``--together 0`` gathers one signal after
the other, for comparison. Processor time is given beside wall time, because other load disturbs it
less.
"""

import argparse
import tempfile
import time
from pathlib import Path

import record

from layerfuse import Backbone, EmbeddingStore
from layerfuse.classifier import gather_signals
from layerfuse.classifier.signals import MAX_TEXTS
from layerfuse.extract import embed_to_store
from layerfuse.meter import Meter

_OF_TEXTS = 10_000
_NAMES = ("attention_entropy", "backbone_gradient")


def main() -> None:
    """Run one case."""
    args = _arguments()
    texts, labels = record.read_sample(args.data / "train.parquet", args.texts, ("text", "label"))
    backbone = Backbone.from_pretrained(args.backbone, pooling="mean", device="cpu")
    backbone.embed(texts[:64], progress=False)  # work that is done once per process is done here
    extraction: list[float] = []
    signals: list[float] = []
    extraction_cpu: list[float] = []
    signals_cpu: list[float] = []
    peaks_mib: list[tuple[int, int]] = []
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as folder:
            started = time.process_time()
            with Meter() as first:
                stored = embed_to_store(backbone, texts, EmbeddingStore(folder), progress=False)
            extracted = time.process_time()
            with Meter() as second:
                for names in (_NAMES,) if args.together else ((name,) for name in _NAMES):
                    gather_signals([stored], labels, names)
            ended = time.process_time()
        scale = _OF_TEXTS / len(texts)
        extraction_cpu.append((extracted - started) * scale)
        signals_cpu.append(ended - extracted)
        extraction.append(first.overhead().wall_seconds * scale)
        signals.append(second.overhead().wall_seconds)
        peaks = (meter.overhead().peak_memory_bytes for meter in (first, second))
        peaks_mib.append(tuple(round(peak / 2**20) for peak in peaks))
    line = {
        "benchmark": "signals",
        "backbone": backbone.name,
        "data": args.data.name,
        "n_texts": len(texts),
        "n_sample": min(MAX_TEXTS, len(texts)),
        "together": bool(args.together),
        "kernel": backbone.kernel,
        "seconds": {
            "extraction of 10,000": record.spread(extraction),
            "signals": record.spread(signals),
        },
        "share": record.ratios(signals, extraction),
        "share_of_processor_time": record.ratios(signals_cpu, extraction_cpu),
        "peak_mib": dict(zip(("extraction", "signals"), peaks_mib[0], strict=True)),
    }
    record.write(line, args.out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--together", type=int, choices=(0, 1), default=1)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
