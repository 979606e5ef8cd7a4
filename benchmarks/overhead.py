"""Whether the prediction costs of a report are reproducible, and its FLOPs those of torch.

    python benchmarks/overhead.py --data DIR/mr --backbone A --backbone B --out FILE

Fits on a sample of train.parquet and measures prediction of texts of test.parquet as ``compare``
does, in a fresh process each time. The line has the minimum, maximum and spread (maximum / minimum
- 1) of every figure, and the FLOPs per text beside those that torch counts while the cut backbones
read the same texts one at a time, with DeBERTa's attention by distance.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np
import record
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from layerfuse import Backbone, FusionClassifier
from layerfuse.backbone.deberta import attention_by_distance
from layerfuse.backbone.flops import flops_per_text
from layerfuse.report.measure import measure_prediction

_FIGURES = ("peak_memory_bytes", "extra_memory_bytes", "flops_per_text", "n_parameters_kept")


def main() -> None:
    """Run one case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", action="append", required=True)
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    texts, labels = record.read_sample(args.data / "train.parquet", args.texts, ("text", "label"))
    (tests,) = record.read_sample(args.data / "test.parquet", args.texts)
    classifier = FusionClassifier(args.backbone, device="cpu", progress=False).fit(texts, labels)
    measured = [
        dataclasses.asdict(measure_prediction(classifier, tests)) for _ in range(args.rounds)
    ]
    ends = {
        name: (min(one[name] for one in measured), max(one[name] for one in measured))
        for name in _FIGURES
    }
    cut = classifier.backbones_.values()
    record.write(
        {
            "benchmark": "overhead",
            "data": args.data.name,
            "backbones": [backbone.name for backbone in cut],
            "n_texts": args.texts,
            "rounds": args.rounds,
            **ends,
            "spread": {name: round(most / least - 1, 4) for name, (least, most) in ends.items()},
            "flops_ratio": round(
                sum(flops_per_text(one, tests[:20]) for one in cut)
                / sum(_counted(one, tests[:20]) for one in cut),
                4,
            ),
        },
        args.out,
    )


def _counted(backbone: Backbone, texts: list[str]) -> float:
    """Return the FLOPs per text that torch counts in the model itself."""
    counts = []
    for text in texts:
        tokens = backbone.tokenizer(text, return_tensors="pt", truncation=True, max_length=512)
        # The counter may not know fused attention, which is one operation; the eager form is two.
        plain = sdpa_kernel(SDPBackend.MATH)
        ours = attention_by_distance(backbone.model)
        with plain, ours, FlopCounterMode(display=False) as counter, torch.inference_mode():
            backbone.model(**tokens)
        counts.append(counter.get_total_flops())
    return float(np.mean(counts))


if __name__ == "__main__":
    main()
