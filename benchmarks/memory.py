"""Memory that extraction takes above the loaded model, in a fresh process for each measurement.

    python benchmarks/memory.py --data DIR/r8 --backbone FOLDER --texts 300 1200 --out FILE

The model is loaded, every page of its weights read and 64 texts embedded; then all texts stream to
a store on disk. The line has the minimum and maximum over several processes for each number of
texts.
"""

import argparse
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import record

from layerfuse import Backbone, EmbeddingStore
from layerfuse.backbone import fastest_kernel
from layerfuse.backbone.heap import read_all_weights
from layerfuse.core.spec import Dtype
from layerfuse.extract import embed_to_store
from layerfuse.meter import Meter

_MIB = 2**20


def main() -> None:
    """Run one backbone on samples of one data set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--texts", type=int, nargs="+", default=[300])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    for n_texts in args.texts:
        (texts,) = record.read_sample(args.data / "train.parquet", n_texts)
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
            jobs = [pool.submit(_mib, args.backbone, args.dtype, texts) for _ in range(args.rounds)]
            found = [job.result() for job in jobs]
        loaded, extra = (record.spread(list(values)) for values in zip(*found, strict=True))
        record.write(
            {
                "benchmark": "memory",
                "backbone": args.backbone.name,
                "data": args.data.name,
                "dtype": args.dtype,
                "n_texts": len(texts),
                "kernel": fastest_kernel(),
                "loaded_mib": loaded,
                "extra_mib": extra,
            },
            args.out,
        )


def _mib(folder: Path, dtype: Dtype, texts: list[str]) -> tuple[float, float]:
    """Return the memory in MiB of a process with a loaded model, and what extraction adds."""
    backbone = Backbone.from_pretrained(folder, device="cpu", dtype=dtype)
    read_all_weights(backbone.model)
    backbone.embed(texts[:64], progress=False)
    with tempfile.TemporaryDirectory() as store, Meter(interval_seconds=0.002) as meter:
        embed_to_store(backbone, texts, EmbeddingStore(store), progress=False)
    cost = meter.overhead()
    extra = cost.extra_memory_bytes / _MIB
    return cost.peak_memory_bytes / _MIB - extra, extra


if __name__ == "__main__":
    main()
