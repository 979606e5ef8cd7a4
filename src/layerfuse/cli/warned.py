"""Prints each warning as one plain line, and truncated texts as one total per backbone."""

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
    """Replace ``warnings.showwarning``: print the message without the line of code."""
    sys.stderr.write(f"layerfuse: warning: {' '.join(str(message).split())}\n")


@dataclass
class TruncationTotals:
    """Truncated texts of all batches, added up per backbone.

    Attributes
    ----------
    n_texts : int
        Texts in all batches. The caller counts them, since batches without truncation do not warn.
    """

    n_texts: int = 0
    _totals: dict[str, TruncationWarning] = field(default_factory=dict)

    def add(self, batch: TruncationWarning) -> None:
        """Add the truncated texts of a batch."""
        before = self._totals.get(batch.backbone)
        n_truncated = batch.n_truncated + (before.n_truncated if before else 0)
        self._totals[batch.backbone] = replace(batch, n_truncated=n_truncated)

    def warn(self) -> None:
        """Warn once per backbone."""
        for total in self._totals.values():
            warnings.warn(replace(total, n_texts=self.n_texts), stacklevel=2)


@contextmanager
def truncation_warned_once() -> Iterator[TruncationTotals]:
    """Collect warnings of truncated texts and give their totals at the end of the block.

    Also after an exception, because predictions up to then may be in use.

    Yields
    ------
    TruncationTotals
        The caller adds to its ``n_texts``.
    """
    totals = TruncationTotals()
    # Around all batches, because on each entry Python forgets which warnings it has shown.
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
        totals.warn()
