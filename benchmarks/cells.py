"""What the tables share: the last line of each case, Markdown, a median with its range."""

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results")
Line = dict[str, Any]


def read_lines(benchmark: str, keys: tuple[str, ...], file: str = "speed.jsonl") -> list[Line]:
    """Return the last line of each case of one benchmark, in the order in which cases appear."""
    found: dict[tuple[str, ...], Line] = {}
    for raw in (RESULTS / file).read_text("utf-8").splitlines():
        line = json.loads(raw)
        if line["benchmark"] == benchmark:
            found[tuple(json.dumps(line[key]) for key in keys)] = line
    return list(found.values())


def table(headers: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def spread(values: list[float] | None, digits: int = 2) -> str:
    """Return a median with its range, given in this order."""
    if values is None:
        return ""
    middle, low, high = (f"{v:.{digits}f}" for v in values)
    return f"{middle} ({low} to {high})"
