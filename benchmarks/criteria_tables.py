"""Tables of ``docs/criteria.md``."""

import json
import statistics
import sys

from cells import RESULTS, Line, read_lines, table


def _lines() -> list[Line]:
    """Return each case with the last measurement of every criterion."""
    found: dict[tuple[str, str], Line] = {}
    for raw in (RESULTS / "criteria.jsonl").read_text("utf-8").splitlines():
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
    lines = _lines()
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
    return table(
        ["criterion", "mean regret", "worst regret", "mean rank correlation", "seconds"],
        [
            [name, f"{statistics.fmean(regrets):.2f}", f"{max(regrets):.1f}", rank, seconds]
            for regrets, name, rank, seconds in sorted(
                rows, key=lambda row: statistics.fmean(row[0])
            )
        ],
    )


def grid() -> str:
    """Regret of the default criterion, that of the paper and two rules, for each case."""
    lines = _lines()
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
    return table([*headers, "the same, high entropy", "*last*", "*middle*"], rows)


def chance() -> str:
    """Regret on half of the test texts, of the default criterion and of the other half."""
    lines = [json.loads(raw) for raw in (RESULTS / "chance.jsonl").read_text("utf-8").splitlines()]
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
    return table(["backbone, data", "texts in a half", *picked_by], rows)


def selections() -> str:
    """Quality on new texts of all backbones and of the best one, and which held-out texts chose."""
    draws: dict[tuple[str, int], list[Line]] = {}
    for line in read_lines("selections", ("data", "n_texts", "draw"), "selections.jsonl"):
        draws.setdefault((line["data"], line["n_texts"]), []).append(line)
    rows = []
    for (data, n_texts), lines in draws.items():
        n_taken = sum(line["taken"] == "best_backbone" for line in lines)
        losses = _mean_of_each(lines, "log_loss")
        accuracies = _mean_of_each(lines, "accuracy")
        rows.append(
            [
                data.replace("sentiment_", "sentiment, ").upper(),
                f"{n_texts:,}",
                f"{n_taken} of {len(lines)}",
                " / ".join(f"{loss:.3f}" for loss in losses),
                " / ".join(f"{accuracy:.1f}" for accuracy in accuracies),
            ]
        )
    headers = ["data", "texts", "one backbone chosen", "log loss, new texts", "accuracy"]
    return table(headers, rows)


def _mean_of_each(lines: list[Line], measure: str) -> list[float]:
    """Return the means over draws of all backbones, of the best one, and of the chosen ones."""
    picks = [["upper_top"] * len(lines), ["best_backbone"] * len(lines)]
    picks.append([line["taken"] for line in lines])
    return [
        statistics.fmean(line["rows"][one][measure] for line, one in zip(lines, pick, strict=True))
        for pick in picks
    ]
