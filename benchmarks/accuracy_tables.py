"""Tables of ``docs/accuracy.md``."""

import statistics

from cells import Line, read_lines, table


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
    return table(headers, rows)


def _last_run(data: str, n_seeds: int = 0) -> list[Line]:
    """Return the rows of the last run on a data set under this many seeds or more."""
    lines = [
        line | {"row": line["row"].replace("without words", "without TF-IDF")}  # in earlier lines
        for line in read_lines("accuracy", ("data", "row", "started"), "accuracy.jsonl")
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
    for data in (
        "mr",
        "trec6",
        "r8",
        "sentiment_english",
        "sentiment_french",
        "sentiment_german",
        "sentiment_arabic",
    ):
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
    return table(["data", "seeds", *headers, "gain over the best layer, points"], rows)


def _range(values: list[float], sign: str = "") -> str:
    low, high = min(values), max(values)
    return f"{statistics.fmean(values):{sign}.1f} ({low:{sign}.1f} to {high:{sign}.1f})"


def languages() -> str:
    """Accuracy on the same task in several languages, a language a row."""
    rows = []
    for language in ("english", "french", "german", "arabic"):
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
    return table(["language", *headers], rows)


def ngrams() -> str:
    """Quality of the TF-IDF head without and with character n-grams, a data set a row."""
    rows = []
    for line in read_lines("ngrams", ("data",), "ngrams.jsonl"):
        held_out, dev = line["held_out"], line["dev"]
        rows.append(
            [
                line["data"].replace("sentiment_", "sentiment, ").upper(),
                f"{held_out['n_texts']:,}",
                *_without_and_with(held_out),
                *(_without_and_with(dev)[:2] if dev else ("", "")),
                " / ".join(f"{seconds:.0f}" for seconds in line["seconds"]),
            ]
        )
    headers = ["log loss, held out", "gain", "accuracy", "log loss, development", "gain", "seconds"]
    return table(["data", "texts", *headers], rows)


def _without_and_with(quality: Line) -> tuple[str, str, str]:
    return (
        " / ".join(f"{loss:.3f}" for loss in quality["log_loss"]),
        f"{quality['gain']:.3f} ± {quality['standard_error']:.3f}",
        " / ".join(f"{accuracy:.1f}" for accuracy in quality["accuracy"]),
    )


def fusions(data: str) -> str:
    """Test accuracy of every fusion on the same layers, and of the one in use."""
    lines = [
        line
        for line in read_lines("accuracy", ("data", "row", "started"), "accuracy.jsonl")
        if line["data"] == data and line.get("kind") in {"fusion", "result"}
    ]
    started = [line["started"] for line in lines if line["kind"] == "fusion"][-1]
    rows = [
        [line["row"], f"{line['accuracy']:.1f}", f"{line['low']:.1f} to {line['high']:.1f}"]
        for line in lines
        if line["started"] == started
    ]
    return table(["fusion", "accuracy", "95 % interval"], rows)


def ancestors() -> str:
    """Accuracy of each recipe at the best epoch on validation texts, and on test texts."""
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for line in read_lines("ancestors", ("data", "recipe", "protocol"), "ancestors.jsonl"):
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
    return table(["recipe", "honest", "best test epoch (leaky)", "seeds"], rows)


def learning_curves() -> str:
    """Accuracy by number of training texts: mean and standard deviation over draws."""
    lines = read_lines("learning curve", ("data", "row", "n_texts"), "accuracy.jsonl")
    by_case: dict[tuple[str, int], dict[str, str]] = {}
    for line in lines:
        case = line["data"].upper(), line["n_texts"]
        found = line["accuracies"]
        spread = f" ± {statistics.stdev(found):.1f}" if len(found) > 1 else ""
        by_case.setdefault(case, {})[line["row"]] = f"{statistics.fmean(found):.1f}{spread}"
    names = list(dict.fromkeys(line["row"] for line in lines))
    rows = [[data, f"{n:,}", *[found.get(name, "") for name in names]]
            for (data, n), found in sorted(by_case.items())]  # fmt: skip
    return table(["data", "training texts", *names], rows)


def prompts() -> str:
    """Accuracy without and with a prompt, on few texts and on a whole sample."""
    cases: dict[tuple[str, str, int], list[Line]] = {}
    for line in read_lines(
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
    return table([*headers, "all of them", "gain on all, points"], rows)
