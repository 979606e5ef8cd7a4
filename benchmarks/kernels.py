"""Seconds of extraction with each float32 matrix product, interleaved: of batches and single texts.

    python benchmarks/kernels.py --data DIR/mr --backbone FOLDER --texts 1000 --out FILE

The ways are torch's product, oneDNN's, and oneDNN's on packed weights (a copy in its own layout,
which layerfuse does not use). All run in one process. Prints one JSON line: seconds of each for all
texts, milliseconds of a single text (median over texts and rounds), and ratios of each round to
oneDNN's.
"""

import argparse
import contextlib
import statistics
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import record
import torch

from layerfuse import Backbone
from layerfuse.backbone import kernels

_SINGLE_TEXTS = 60
_WAYS = ("torch", "onednn", "packed")


def main() -> None:
    """Run one backbone on a sample of one data set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    (texts,) = record.read_sample(args.data / "train.parquet", args.texts)
    backbone = Backbone.from_pretrained(args.backbone, device="cpu")
    packed = pack(backbone)
    work = {"all": [texts], "single": [[text] for text in texts[:_SINGLE_TEXTS]]}
    seconds = {kind: {way: [] for way in _WAYS} for kind in work}
    for i in range(args.rounds + 1):  # the first is a warm-up
        for kind, calls in work.items():
            taken: dict[str, list[float]] = {way: [] for way in _WAYS}
            for call in calls:
                for way in _WAYS if i % 2 else reversed(_WAYS):
                    with product(way, packed):
                        taken[way].append(record.seconds(lambda c=call: backbone.embed(c)))
            for way in _WAYS if i else ():
                seconds[kind][way].append(statistics.median(taken[way]))
    line = {
        "benchmark": "kernels",
        "backbone": backbone.name,
        "data": args.data.name,
        "n_texts": len(texts),
        "gflops": {way: round(rate) for way, rate in kernels.gemm_gflops(torch.float32).items()},
        "seconds": {way: record.spread(values) for way, values in seconds["all"].items()},
        "single_ms": {
            way: record.spread([1000 * s for s in values])
            for way, values in seconds["single"].items()
        },
        **{
            f"{kind}_over_onednn": {
                way: record.ratios(values, ways["onednn"]) for way, values in ways.items()
            }
            for kind, ways in seconds.items()
        },
    }
    record.write(line, args.out)


def pack(backbone: Backbone) -> dict[int, torch.Tensor]:
    """Return a copy of each weight in oneDNN's layout, optimised for 1,024 tokens."""
    linears = [
        m
        for block in backbone.blocks.container
        for m in block.modules()
        if isinstance(m, torch.nn.Linear)
    ]
    reorder = torch.ops.mkldnn._reorder_linear_weight  # noqa: SLF001
    return {id(m.weight): reorder(m.weight.detach(), 1024) for m in linears}


@contextlib.contextmanager
def product(way: str, packed: dict[int, torch.Tensor]) -> Iterator[None]:
    """Let extraction use one of the products."""
    plain = kernels.onednn_linear

    def on_packed(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return plain(x, packed[id(weight)], bias)

    name = "torch" if way == "torch" else "onednn"
    linear = on_packed if way == "packed" else plain
    with (
        mock.patch.object(kernels, "fastest_kernel", return_value=name),
        mock.patch.object(kernels, "onednn_linear", linear),
    ):
        yield


if __name__ == "__main__":
    main()
