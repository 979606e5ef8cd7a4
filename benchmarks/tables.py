"""Tables of the documentation, generated from the JSON lines in ``results``.

    python benchmarks/tables.py README.md docs/speed.md docs/criteria.md

Replaces what stands between ``<!-- NAME -->`` and ``<!-- end NAME -->`` in each file. If a
case has several lines, the last one counts. ``--check`` writes nothing and fails if a file would
change.
"""

import argparse
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import accuracy_tables
import criteria_tables
import speed_tables


def main() -> None:
    """Fill the tables of some files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    stale = []
    for file in args.files:
        old = file.read_text("utf-8")
        new = fill(old)
        if new != old:
            stale.append(str(file))
            if not args.check:
                file.write_text(new, "utf-8")
    if args.check and stale:
        sys.exit(f"stale tables in {', '.join(stale)}: run benchmarks/tables.py")


def fill(text: str) -> str:
    """Return the text with each of its named tables filled in."""
    for name, make in TABLES.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end {name} -->)"
        if re.search(pattern, text, flags=re.DOTALL):
            table = make()
            text = re.sub(
                pattern, lambda m, t=table: f"{m[1]}\n{t}\n\n{m[2]}", text, flags=re.DOTALL
            )
    return text


TABLES: dict[str, Callable[[], str]] = {
    "extraction fp32": partial(speed_tables.extraction, "fp32", "avx512_bf16", "amx_bf16"),
    "extraction bf16": partial(speed_tables.extraction, "bf16", "avx512_bf16", "amx_bf16"),
    "extraction fp32 intel": partial(speed_tables.extraction, "fp32", lacks="avx512_bf16"),
    "extraction bf16 amx": partial(speed_tables.extraction, "bf16", "amx_bf16"),
    "kernels": speed_tables.kernels,
    "precision": speed_tables.precision,
    "memory": speed_tables.memory,
    "engines": speed_tables.engines,
    "half depth": speed_tables.half_depth,
    "prediction": speed_tables.prediction,
    "fitting": speed_tables.fitting,
    "scaling": speed_tables.scaling,
    "endless": speed_tables.endless,
    "criteria": criteria_tables.criteria,
    "criteria grid": criteria_tables.grid,
    "criteria chance": criteria_tables.chance,
    "selections": criteria_tables.selections,
    **{
        f"accuracy {data}": partial(accuracy_tables.accuracy, data)
        for data in ("mr", "sst2", "r8", "r52", "ohsumed", "trec6")
    },
    "seeds": accuracy_tables.seeds,
    "languages": accuracy_tables.languages,
    "ngrams": accuracy_tables.ngrams,
    "fusions": partial(accuracy_tables.fusions, "mr"),
    "ancestors": accuracy_tables.ancestors,
    "learning curves": accuracy_tables.learning_curves,
    "prompts": accuracy_tables.prompts,
}

if __name__ == "__main__":
    main()
