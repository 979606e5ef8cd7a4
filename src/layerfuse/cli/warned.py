"""Warnings as one plain line each, and those of truncated texts as one total for each backbone."""

import dataclasses
import sys
import warnings
from types import TracebackType
from typing import TextIO

from layerfuse.core.errors import TruncationWarning


def show_warning(
    message: Warning | str,
    category: type[Warning],  # noqa: ARG001
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    """Stand in for ``warnings.showwarning``: who runs a command has no use for a line of code."""
    sys.stderr.write(f"layerfuse: warning: {' '.join(str(message).split())}\n")


class TruncationTotals:
    """Context manager that adds up what batches truncate, and tells it at the end.

    Attributes
    ----------
    n_texts : int
        Of all batches; who runs them counts, since a batch without a long text warns of nothing.
    """

    def __init__(self) -> None:
        self.n_texts = 0
        self._totals: dict[str, TruncationWarning] = {}

    def __enter__(self) -> "TruncationTotals":
        # Once around all batches: entering anew, Python forgets which other warnings it has shown.
        self._caught = warnings.catch_warnings()
        self._caught.__enter__()
        warnings.simplefilter("always", TruncationWarning)
        self._show_others = warnings.showwarning
        warnings.showwarning = self._take
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Tell it also where the batches end early: what was predicted until then may be in use."""
        self._caught.__exit__(kind, error, trace)
        for total in self._totals.values():
            warnings.warn(dataclasses.replace(total, n_texts=self.n_texts), stacklevel=2)

    def _take(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if not isinstance(message, TruncationWarning):
            self._show_others(message, category, filename, lineno, file, line)
            return
        before = self._totals.get(message.backbone)
        n_before = 0 if before is None else before.n_truncated
        self._totals[message.backbone] = dataclasses.replace(
            message, n_truncated=n_before + message.n_truncated
        )
