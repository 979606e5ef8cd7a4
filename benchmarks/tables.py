"""Tables of the documentation, generated from the JSON lines in ``results``.

    python benchmarks/tables.py README.md docs/speed.md docs/criteria.md

Replaces what stands between ``<!-- NAME -->`` and ``<!-- end NAME -->`` in each file. If a
case has several lines, the last one counts. ``--check`` writes nothing and fails if a file would
change.
"""

import argparse
import json
import re
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

_RESULTS = Path(__file__).with_name("results")
Line = dict[str, Any]


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


def _lines(benchmark: str, keys: tuple[str, ...], file: str = "speed.jsonl") -> list[Line]:
    """Return the last line of each case, in the order in which cases first appear."""
    found: dict[tuple[str, ...], Line] = {}
    for raw in (_RESULTS / file).read_text("utf-8").splitlines():
        line = json.loads(raw)
        if line["benchmark"] == benchmark:
            found[tuple(json.dumps(line[key]) for key in keys)] = line
    return list(found.values())


def _table(headers: list[str], rows: list[list[str]]) -> str:
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _spread(values: list[float] | None, digits: int = 2) -> str:
    if values is None:
        return ""
    middle, low, high = (f"{v:.{digits}f}" for v in values)
    return f"{middle} ({low} to {high})"


def extraction(dtype: str) -> str:
    """Each peer's seconds over layerfuse's in one precision, case by case.

    Float32 is shown for processors without bfloat16 instructions, bfloat16 for those with them.
    """
    cases = [
        line
        for line in _lines("extraction", ("backbone", "data", "processor"))
        if ("layerfuse bf16" in line["seconds"]) == (dtype == "bf16")
    ]
    own = f"layerfuse {dtype}"
    peers = list(
        dict.fromkeys(
            name for line in cases for name in line[f"over_layerfuse_{dtype}"] if name != own
        )
    )
    headers = ["backbone, data", f"{own}, s", *peers, "over the floor"]
    rows = [
        [
            f"{line['backbone']}, {line['n_texts']:,} of {line['data'].upper()}",
            _spread(line["seconds"][own], 1),
            *[_spread(line[f"over_layerfuse_{dtype}"].get(peer)) or "n/a" for peer in peers],
            _spread(line["over_floor"][dtype]),
        ]
        for line in cases
    ]
    return _table(headers, rows)


def precision() -> str:
    """Compare bfloat16 with float32, case by case."""
    rows = [
        [
            f"{line['backbone']}, {line['data'].upper()}",
            f"{line['lowest_cosine']:.5f}",
            *[
                f"{line[name]['float32']:.1f} / {line[name]['bfloat16']:.1f}"
                for name in ("best layer", "upper half")
            ],
            *[f"{line[name]['agreement']:.1f}" for name in ("best layer", "upper half")],
        ]
        for line in _lines("precision", ("backbone", "data"))
    ]
    headers = ["backbone, data", "lowest cosine", "best layer, fp32 / bf16"]
    headers += ["upper half, fp32 / bf16", "same predictions, best layer", "upper half"]
    return _table(headers, rows)


def memory() -> str:
    """Memory of extraction above the loaded model."""
    rows = [
        [
            f"{line['backbone']}, {line['n_texts']:,} of {line['data'].upper()}",
            line["dtype"],
            f"{line['loaded_mib'][0]:.0f}",
            _spread(line["extra_mib"], 0),
        ]
        for line in _lines("memory", ("backbone", "data", "dtype", "n_texts"))
    ]
    return _table(["backbone, data", "dtype", "loaded, MiB", "extraction above it, MiB"], rows)


def engines() -> str:
    """Seconds of torch, torch.compile and OpenVINO on the same batches."""
    rows = [
        [
            f"{line['backbone']}, {line['n_texts']:,} of {line['data'].upper()}",
            name.replace(" float32", ", fp32").replace(" bfloat16", ", bf16"),
            _spread(seconds, 1),
            _spread(line["over_torch"][name]),
            f"{line['seconds_until_ready'][name]:.0f}",
            f"{line['lowest_cosine'][name]:.5f}",
        ]
        for line in _lines("engines", ("backbone", "data"))
        for name, seconds in line["seconds"].items()
    ]
    headers = ["backbone, data", "engine", "seconds", "over torch's", "until ready, s"]
    return _table([*headers, "lowest cosine"], rows)


def half_depth() -> str:
    """Compare one backbone cut at half its blocks with itself whole."""
    rows = [
        [
            f"{line['backbone']}, {line['data'].upper()}",
            "{1} of {0}".format(*line["blocks"]),
            _spread(line["throughput_ratio"]),
            f"{line['latency_ratio_p50']:.2f}",
            "{whole:.1f} / {cut:.1f}".format(**line["latency_ms_p50"]),
            "{:.1f} / {:.1f}".format(*[n / 1e6 for n in line["parameters"]]),
        ]
        for line in _lines("half depth", ("backbone", "data"))
    ]
    headers = ["backbone, data", "blocks", "throughput, times", "latency of one text, times"]
    headers += ["latency whole / cut, ms", "parameters whole / cut, millions"]
    return _table(headers, rows)


def prediction() -> str:
    """Costs of prediction by a fused classifier, cut and uncut."""
    rows = [
        [
            f"{' + '.join(line['backbones'])}, {line['n_texts']:,} of {line['data'].upper()}",
            str(len(line["selection"])),
            *[_spread(line["seconds"][way], 1) for way in ("whole", "cut")],
            _spread(line["throughput_ratio"]),
            *[
                "{:.0f} / {:.0f}".format(*line["latency_ms_p50_p95"][way])
                for way in ("whole", "cut")
            ],
            "{:.0f} / {:.0f}".format(*[n / 1e6 for n in line["parameters"]]),
        ]
        for line in _lines("prediction", ("backbones", "data"))
    ]
    headers = ["backbones, texts", "layers", "whole, s", "cut, s", "ratio"]
    headers += ["one text whole, ms p50 / p95", "one text cut", "parameters, millions"]
    return _table(headers, rows)


def fitting() -> str:
    """Seconds of fit without a cache, against embedding and a logistic regression."""
    rows = [
        [
            f"{' + '.join(line['backbones'])}, {line['n_texts']:,} of {line['data'].upper()}",
            _spread(line["seconds"]["layerfuse"], 1),
            _spread(line["seconds"]["sentence-transformers"], 1),
            _spread(line["ratio"]),
        ]
        for line in _lines("fit from nothing", ("backbones", "data"))
    ]
    return _table(["backbones, texts", "layerfuse, s", "the other way, s", "ratio"], rows)


def scaling() -> str:
    """Time and memory of fit by number of texts."""
    lines = _lines("scaling", ("backbone", "data", "n_texts"))
    stages = list(lines[-1]["stage_seconds"]) if lines else []
    rows = [
        [
            f"{line['n_texts']:,}",
            f"{line['fit_seconds']:.1f}",
            *[f"{line['stage_seconds'][stage]:.1f}" for stage in stages],
            str(line["fit_extra_memory_mib"]),
        ]
        for line in lines
    ]
    names = [stage.replace("lexical", "TF-IDF") for stage in stages]  # as earlier lines call it
    return _table(["texts", "fit, s", *[f"{name}, s" for name in names], "memory, MiB"], rows)


def endless() -> str:
    """Resident memory while texts stream."""
    rows = [
        [
            f"{line['n_texts']:,}",
            f"{line['texts_per_second']:,}",
            ", ".join(map(str, line["resident_mib"])),
        ]
        for line in _lines("endless", ("n_texts",))
    ]
    return _table(["texts", "texts a second", "resident memory, MiB"], rows)


def accuracy(data: str) -> str:
    """Accuracy on one data set: the rows of the last run, recognised by their common start time."""
    lines = _last_run(data)
    rows = [
        [
            line["row"],
            f"{line['accuracy']:.1f}",
            f"{line['low']:.1f} to {line['high']:.1f}",
            ""
            if line is lines[-1]
            else "{gain_over_row:+.1f} ({gain_low:+.1f} to {gain_high:+.1f})".format(**line),
        ]
        for line in lines
        if _is_telling(line)
    ]
    headers = ["", "accuracy", "95 % interval", "gain of the last row over it, points"]
    return _table(headers, rows)


def _last_run(data: str, n_seeds: int = 0) -> list[Line]:
    """Return the rows of the last run on a data set under this many seeds or more."""
    lines = [
        line | {"row": line["row"].replace("without words", "without TF-IDF")}  # in earlier lines
        for line in _lines("accuracy", ("data", "row", "started"), "accuracy.jsonl")
        if line["data"] == data and len(line.get("seed_accuracies", ())) >= n_seeds
    ]
    return [line for line in lines if line["started"] == lines[-1]["started"]]


def _is_telling(line: Line) -> bool:
    """Leave out rows for which only a report has room: middle layers, the best of each backbone."""
    alone = line["kind"] == "best layer" and len(line["backbones"]) > 1
    return line["kind"] not in {"middle layer", "fusion"} and (
        not alone or line["row"] == "best layer of all"
    )


def seeds() -> str:
    """Accuracy over several seeds: mean, lowest and highest, and the gain over the best layer."""
    rows = []
    for data in ("mr", "trec6", "sentiment_english", "sentiment_french", "sentiment_german"):
        by_row = {line["row"]: line["seed_accuracies"] for line in _last_run(data, n_seeds=2)}
        best, fused = by_row["best layer of all"], by_row["layerfuse"]
        gains = [after - before for before, after in zip(best, fused, strict=True)]
        shown = [best, by_row["mean of all layers"], by_row["layerfuse without TF-IDF"], fused]
        rows.append(
            [
                data.replace("_", ", ").upper(),
                f"{len(fused)}",
                *map(_range, shown),
                _range(gains, "+"),
            ]
        )
    headers = ["best layer of all", "mean of all layers", "layerfuse without TF-IDF", "layerfuse"]
    return _table(["data", "seeds", *headers, "gain over the best layer, points"], rows)


def _range(values: list[float], sign: str = "") -> str:
    low, high = min(values), max(values)
    return f"{statistics.fmean(values):{sign}.1f} ({low:{sign}.1f} to {high:{sign}.1f})"


def languages() -> str:
    """Accuracy on the same task in several languages, a language a row."""
    rows = []
    for language in ("english", "french", "german"):
        by_row = {line["row"]: line for line in _last_run(f"sentiment_{language}")}
        last = max(
            (line for line in by_row.values() if line["kind"] == "last layer"),
            key=lambda line: line["accuracy"],
        )
        best = by_row["best layer of all"]
        names = ["TF-IDF + logistic regression", "best layer of all", "mean of all layers"]
        names += ["layerfuse without TF-IDF", "layerfuse"]
        cells = [f"{by_row[name]['accuracy']:.1f}" for name in names]
        gain = "{gain_over_row:+.1f} ({gain_low:+.1f} to {gain_high:+.1f})".format(**best)
        backbone = last["row"].removesuffix(", last layer")
        last_cell = f"{last['accuracy']:.1f} ({backbone})"
        rows.append([language.capitalize(), cells[0], last_cell, *cells[1:], gain])
    headers = ["TF-IDF", "best last layer", "best layer", "mean of all layers"]
    headers += ["layerfuse without TF-IDF", "layerfuse", "gain over the best layer, points"]
    return _table(["language", *headers], rows)


def fusions(data: str) -> str:
    """Test accuracy of every fusion on the same layers, and of the one in use."""
    lines = [
        line
        for line in _lines("accuracy", ("data", "row", "started"), "accuracy.jsonl")
        if line["data"] == data and line.get("kind") in {"fusion", "result"}
    ]
    started = [line["started"] for line in lines if line["kind"] == "fusion"][-1]
    rows = [
        [line["row"], f"{line['accuracy']:.1f}", f"{line['low']:.1f} to {line['high']:.1f}"]
        for line in lines
        if line["started"] == started
    ]
    return _table(["fusion", "accuracy", "95 % interval"], rows)


def ancestors() -> str:
    """Accuracy of each recipe at the best epoch on validation texts, and on test texts."""
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for line in _lines("ancestors", ("data", "recipe", "protocol"), "ancestors.jsonl"):
        found.setdefault((line["data"], line["recipe"]), {})[line["protocol"]] = line["accuracies"]
    protocols = ["honest", "best test epoch"]
    rows = [
        [
            f"{recipe}, {data.upper()}",
            *[
                f"{statistics.fmean(by[name]):.1f} ± {statistics.stdev(by[name]):.1f}"
                for name in protocols
            ],
            f"{len(by['honest'])}",
        ]
        for (data, recipe), by in found.items()
    ]
    return _table(["recipe", "honest", "best test epoch (leaky)", "seeds"], rows)


def learning_curves() -> str:
    """Accuracy by number of training texts: mean and standard deviation over draws."""
    lines = _lines("learning curve", ("data", "row", "n_texts"), "accuracy.jsonl")
    by_case: dict[tuple[str, int], dict[str, str]] = {}
    for line in lines:
        case = line["data"].upper(), line["n_texts"]
        found = line["accuracies"]
        spread = f" ± {statistics.stdev(found):.1f}" if len(found) > 1 else ""
        by_case.setdefault(case, {})[line["row"]] = f"{statistics.fmean(found):.1f}{spread}"
    names = list(dict.fromkeys(line["row"] for line in lines))
    rows = [[data, f"{n:,}", *[found.get(name, "") for name in names]]
            for (data, n), found in sorted(by_case.items())]  # fmt: skip
    return _table(["data", "training texts", *names], rows)


def _criteria_lines() -> list[Line]:
    """Return each case with the last measurement of every criterion."""
    found: dict[tuple[str, str], Line] = {}
    for raw in (_RESULTS / "criteria.jsonl").read_text("utf-8").splitlines():
        line = json.loads(raw)
        case = line["backbone"], line["data"]
        earlier = found.get(case, line)
        if (line["n_train"], line["n_test"]) != (earlier["n_train"], earlier["n_test"]):
            sys.exit(f"{case}: lines of other numbers of texts; remove the old ones")
        found[case] = {**line, "criteria": {**earlier["criteria"], **line["criteria"]}}
    return list(found.values())


def criteria() -> str:
    """Each criterion over the grid of backbones and data sets, the lowest regret first.

    Seconds are those of the processors on which most cases ran; torch uses AVX512 there.
    """
    lines = _criteria_lines()
    rows = []
    for name in lines[0]["criteria"]:
        found = [line["criteria"][name] for line in lines]
        regrets = [statistics.fmean(one["regret"] for one in seeds) for seeds in found]
        ranks = [statistics.fmean(one["rank_correlation"] for one in seeds) for seeds in found]
        seconds = statistics.fmean(
            one["seconds"]
            for line in lines
            if line["processor"]["torch_uses"] == "AVX512"
            for one in line["criteria"][name]
        )
        rows.append((regrets, f"`{name}`", f"{statistics.fmean(ranks):+.2f}", f"{seconds:.1f}"))
    rows += [
        ([line["rules"][rule] for line in lines], f"*{rule} layer*", "", "")
        for rule in lines[0]["rules"]
    ]
    return _table(
        ["criterion", "mean regret", "worst regret", "mean rank correlation", "seconds"],
        [
            [name, f"{statistics.fmean(regrets):.2f}", f"{max(regrets):.1f}", rank, seconds]
            for regrets, name, rank, seconds in sorted(
                rows, key=lambda row: statistics.fmean(row[0])
            )
        ],
    )


def criteria_grid() -> str:
    """Regret of the default criterion, that of the paper and two rules, for each case."""
    lines = _criteria_lines()
    names = ("loo_ridge", "importance", "importance(0.5, high, gradient)")
    rows = [
        [
            f"{line['backbone']}, {line['data']}",
            f"{line['n_train']:,} / {line['n_test']:,}",
            f"{max(line['accuracy'].values()):.1f}",
            *[
                f"{statistics.fmean(one['regret'] for one in line['criteria'][name]):.1f}"
                for name in names
            ],
            *[f"{line['rules'][rule]:.1f}" for rule in ("last", "middle")],
        ]
        for line in lines
    ]
    headers = ["backbone, data", "texts", "best layer", "`loo_ridge`", "`importance`"]
    return _table([*headers, "the same, high entropy", "*last*", "*middle*"], rows)


def criteria_chance() -> str:
    """Regret on half of the test texts, of the default criterion and of the other half."""
    lines = [json.loads(raw) for raw in (_RESULTS / "chance.jsonl").read_text("utf-8").splitlines()]
    rows = [
        [
            f"{line['backbone']}, {line['data']}",
            f"{line['n_test'] // 2:,}",
            *[f"{line['half'][name]:.2f}" for name in ("loo_ridge", "other half")],
        ]
        for line in lines
    ]
    means = [
        f"{statistics.fmean(line['half'][name] for line in lines):.2f}"
        for name in ("loo_ridge", "other half")
    ]
    rows.append(["mean", "", *means])
    picked_by = ["`loo_ridge` on training texts", "the other half of the test texts"]
    return _table(["backbone, data", "texts in a half", *picked_by], rows)


def prompts() -> str:
    """Accuracy without and with a prompt, on few texts and on a whole sample."""
    cases: dict[tuple[str, str, int], list[Line]] = {}
    for line in _lines(
        "prompts", ("data", "asked", "backbones", "n_train", "prompt"), "prompts.jsonl"
    ):
        asked = [f"{name} (asked)" for name in line["asked"]]
        backbones = " + ".join([*asked, *line["backbones"]])
        cases.setdefault((backbones, line["data"].upper(), line["n_train"]), []).append(line)

    def counted(percent: float, line: Line) -> float:
        # Some lines have two digits. They are rounded to whole texts, not a second time to percent.
        return 100 * round(percent * line["n_test"] / 100) / line["n_test"]

    rows = []
    for (backbones, data, n_train), (plain, prompted) in cases.items():
        few = [
            " / ".join(f"{statistics.fmean(line['few'][size]):.1f}" for line in (plain, prompted))
            for size in plain["few"]
        ] or ["", ""]
        both = " / ".join(f"{counted(line['accuracy'], line):.1f}" for line in (plain, prompted))
        points, low, high = (counted(value, prompted) for value in prompted["gain"])
        gain = f"{points:+.1f} ({low:+.1f} to {high:+.1f})"
        rows.append([f"{backbones}, {data}", *few, f"{n_train:,}", both, gain])
    headers = ["backbones, data", "8 texts a class", "32 texts a class", "texts in all"]
    return _table([*headers, "all of them", "gain on all, points"], rows)


TABLES: dict[str, Callable[[], str]] = {
    "extraction": partial(extraction, "fp32"),
    "extraction bf16": partial(extraction, "bf16"),
    "precision": precision,
    "memory": memory,
    "engines": engines,
    "half depth": half_depth,
    "prediction": prediction,
    "fitting": fitting,
    "scaling": scaling,
    "endless": endless,
    "criteria": criteria,
    "criteria grid": criteria_grid,
    "criteria chance": criteria_chance,
    **{
        f"accuracy {data}": partial(accuracy, data)
        for data in ("mr", "sst2", "r8", "r52", "ohsumed", "trec6")
    },
    "seeds": seeds,
    "languages": languages,
    "fusions": partial(fusions, "mr"),
    "ancestors": ancestors,
    "learning curves": learning_curves,
    "prompts": prompts,
}

if __name__ == "__main__":
    main()
