"""The tables of a study, as a paper would print them: Markdown, LaTeX, and all numbers as CSV."""

import csv
import io
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from layerfuse.core.escape import literal, one_line
from layerfuse.report.markdown import markdown_row
from layerfuse.report.save import write_documents
from layerfuse.report.study import Run

_COLUMNS = (
    "data", "backbones", "seed", "classifier", "kind", "accuracy", "accuracy_low", "accuracy_high",
    "macro_f1", "log_loss", "brier", "calibration_error", "gain_points", "gain_low", "gain_high",
    "mcnemar_p",
)  # fmt: skip
_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
                                        "\\": r"\textbackslash{}", "<": r"\textless{}",
                                        ">": r"\textgreater{}"}
)  # fmt: skip


def study_csv(runs: Sequence[Run]) -> str:
    """Return one line per run and classifier, shares as 0 .. 1, gains in points."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for run in runs:
        for row in (*run.report.baselines, run.report.result):
            gain = row.gain
            gains = () if gain is None else (gain.points, gain.low, gain.high, gain.mcnemar_p)
            numbers = (
                row.accuracy, row.accuracy_low, row.accuracy_high, row.macro_f1, row.log_loss,
                row.brier, row.calibration_error, *gains,
            )  # fmt: skip
            writer.writerow([run.data, run.backbones, run.seed, row.name, row.kind, *numbers])
    return text.getvalue()


def study_markdown(runs: Sequence[Run]) -> str:
    """Return a table per set of backbones: classifiers by data sets, accuracy over the seeds."""
    parts = []
    for name, head, body in _tables(runs):
        rows = map(markdown_row, (head, ["---"] * len(head), *body))
        parts.append(f"## {literal(name)}\n\n" + "\n".join(rows))
    return _caption(runs) + "\n\n" + "\n\n".join(parts) + "\n"


def study_latex(runs: Sequence[Run]) -> str:
    """Return the same tables for LaTeX with the package booktabs."""
    parts = []
    for name, head, body in _tables(runs):
        rows = [" & ".join(map(_latex, row)) + r" \\" for row in (head, *body)]
        parts.append(
            "\n".join(
                [
                    r"\begin{table}",
                    rf"\caption{{{_latex(_caption(runs))} {_latex(name)}.}}",
                    r"\begin{tabular}{l" + "r" * (len(head) - 1) + "}",
                    r"\toprule",
                    rows[0],
                    r"\midrule",
                    *rows[1:],
                    r"\bottomrule",
                    r"\end{tabular}",
                    r"\end{table}",
                ]
            )
        )
    return ("\n\n".join(parts) + "\n").replace("±", r"$\pm$")


def save_study(runs: Sequence[Run], folder: str | PathLike[str]) -> tuple[Path, ...]:
    """Write ``study.md``, ``study.tex`` and ``study.csv``, each whole or as it was before.

    Raises
    ------
    ReportError
        If the disk refuses.
    """
    return write_documents(
        folder,
        {
            "study.md": study_markdown(runs),
            "study.tex": study_latex(runs),
            "study.csv": study_csv(runs),
        },
    )


def _latex(text: str) -> str:
    """Return a text that LaTeX sets as it is; a bracket first would be an option of the line."""
    plain = one_line(text).translate(_LATEX)
    return f"{{}}{plain}" if plain.startswith("[") else plain


def _caption(runs: Sequence[Run]) -> str:
    n_seeds = len({run.seed for run in runs})
    if n_seeds == 1:
        return "Test accuracy in %, one seed."
    spread = f"mean ± standard deviation over {n_seeds} seeds, or as many as a row says"
    return f"Test accuracy in %, {spread}."


def _tables(runs: Sequence[Run]) -> list[tuple[str, list[str], list[list[str]]]]:
    """Return name, header and rows of the table of each set of backbones."""
    tables = []
    for name in dict.fromkeys(run.backbones for run in runs):
        own = [run for run in runs if run.backbones == name]
        data = list(dict.fromkeys(run.data for run in own))
        found: dict[str, dict[str, list[float]]] = {}
        for run in own:
            for row in (*run.report.baselines, run.report.result):
                by_data = found.setdefault(row.name, {})
                by_data.setdefault(run.data, []).append(100 * row.accuracy)
        result = own[0].report.result.name
        found[result] = found.pop(result)  # last, also where some data sets have more baselines
        body = [
            [row, *(_cell(by_data.get(one, []), len(found[result].get(one, []))) for one in data)]
            for row, by_data in found.items()
        ]
        tables.append((name, ["classifier", *data], body))
    return tables


def _cell(accuracies: Sequence[float], n_seeds: int) -> str:
    """Tell mean and spread, and of how many seeds, where the row stands under some of them only."""
    if not accuracies:
        return ""
    found = f"{np.mean(accuracies):.1f}"
    if len(accuracies) > 1:
        found += f" ± {np.std(accuracies, ddof=1):.1f}"
    return found if len(accuracies) == n_seeds else f"{found} ({len(accuracies)} of {n_seeds})"
