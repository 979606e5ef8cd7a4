"""The tables of a study in Markdown and LaTeX, and all numbers as CSV."""

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
    """Return one line per run and classifier, with shares of 0 .. 1 and gains in points."""
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
    """Return one table per set of backbones: accuracy over the seeds, by classifier and data."""
    parts = []
    for name, head, body in _tables(runs):
        rows = map(markdown_row, (head, ["---"] * len(head), *body))
        parts.append(f"## {literal(name)}\n\n" + "\n".join(rows))
    return _caption(runs) + "\n\n" + "\n\n".join(parts) + "\n"


def study_latex(runs: Sequence[Run]) -> str:
    """Return the same tables in LaTeX; they need the package booktabs."""
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
    """Write ``study.md``, ``study.tex`` and ``study.csv``, each atomically.

    Raises
    ------
    ReportError
        If they cannot be written.
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
    """Escape a text for LaTeX; a leading bracket would be read as an option of the row."""
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
        of_set = [run for run in runs if run.backbones == name]
        data = list(dict.fromkeys(run.data for run in of_set))
        by_row: dict[str, dict[str, list[float]]] = {}
        for run in of_set:
            for row in (*run.report.baselines, run.report.result):
                by_data = by_row.setdefault(row.name, {})
                by_data.setdefault(run.data, []).append(100 * row.accuracy)
        result = of_set[0].report.result.name
        by_row[result] = by_row.pop(result)  # last, even if later data sets have more baselines
        body = [
            [row, *(_cell(by_data.get(key, []), len(by_row[result].get(key, []))) for key in data)]
            for row, by_data in by_row.items()
        ]
        tables.append((name, ["classifier", *data], body))
    return tables


def _cell(accuracies: Sequence[float], n_seeds: int) -> str:
    """Return mean ± standard deviation, with the number of seeds if only some have the row."""
    if not accuracies:
        return ""
    cell = f"{np.mean(accuracies):.1f}"
    if len(accuracies) > 1:
        cell += f" ± {np.std(accuracies, ddof=1):.1f}"
    return cell if len(accuracies) == n_seeds else f"{cell} ({len(accuracies)} of {n_seeds})"
