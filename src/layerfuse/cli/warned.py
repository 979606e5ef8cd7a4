"""Warnings as one plain line each, and those of truncated texts as one total for each backbone."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
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


@dataclass
class TruncationTotals:
    """What batches truncate, added up.

    Attributes
    ----------
    n_texts : int
        Of all batches; who runs them counts, since a batch without a long text warns of nothing.
    """

    n_texts: int = 0
    _totals: dict[str, TruncationWarning] = field(default_factory=dict)

    def add(self, one: TruncationWarning) -> None:
        """Add what a batch truncated."""
        before = self._totals.get(one.backbone)
        n_truncated = one.n_truncated + (before.n_truncated if before else 0)
        self._totals[one.backbone] = replace(one, n_truncated=n_truncated)

    def tell(self) -> None:
        """Warn once of each backbone."""
        for total in self._totals.values():
            warnings.warn(replace(total, n_texts=self.n_texts), stacklevel=2)


@contextmanager
def truncation_told_once() -> Iterator[TruncationTotals]:
    """Let warnings of truncated texts wait for the end, also where the batches end early.

    What was predicted until then may be in use.

    Yields
    ------
    TruncationTotals
        Whose ``n_texts`` is for the caller to count.
    """
    totals = TruncationTotals()
    # Once around all batches: entering anew, Python forgets which other warnings it has shown.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", TruncationWarning)
            show_others = warnings.showwarning

            def take(
                message: Warning | str,
                category: type[Warning],
                filename: str,
                lineno: int,
                file: TextIO | None = None,
                line: str | None = None,
            ) -> None:
                if isinstance(message, TruncationWarning):
                    totals.add(message)
                else:
                    show_others(message, category, filename, lineno, file, line)

            warnings.showwarning = take
            yield totals
    finally:
        totals.tell()
