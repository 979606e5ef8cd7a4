"""``save_report``: writes a report as three files; ``save_pages``: renders two of them again."""

import os
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

from layerfuse.core.errors import ReportError, StoreError
from layerfuse.report.document import JSON_NAME, Report
from layerfuse.report.html import report_html
from layerfuse.report.markdown import report_markdown
from layerfuse.store.files import make_folder, write_whole

HTML_NAME = "report.html"
MARKDOWN_NAME = "report.md"


def save_report(report: Report, folder: str | PathLike[str]) -> tuple[Path, ...]:
    """Write ``report.html``, ``report.md`` and, last, ``report.json``, each atomically.

    Parameters
    ----------
    report : Report
        Report to save.
    folder : str or path
        Created if absent.

    Returns
    -------
    tuple of Path
        The three files.

    Raises
    ------
    ReportError
        If the folder is a file or cannot be written.
    """
    return write_documents(folder, {**_pages(report), JSON_NAME: report.to_json()})


def save_pages(report: Report, folder: str | PathLike[str]) -> tuple[Path, ...]:
    """Write only ``report.html`` and ``report.md``, as ``save_report`` does.

    Parameters
    ----------
    report : Report
        Report from ``Report.load``.
    folder : str or path
        Folder it was loaded from.

    Returns
    -------
    tuple of Path
        The two files.

    Raises
    ------
    ReportError
        If the folder is a file or cannot be written.
    """
    return write_documents(folder, _pages(report))


def check_report_folder(folder: str | PathLike[str]) -> None:
    """Raise unless a report can be saved in a folder; called before the long work.

    Parameters
    ----------
    folder : str or path
        Need not exist yet.

    Raises
    ------
    ReportError
        If it is a file or cannot be written.
    """
    place = Path(folder).expanduser().resolve()
    if place.exists() and not place.is_dir():
        raise ReportError(f"Expected a folder for the report, {folder} is a file. Name another.")
    nearest = next(path for path in (place, *place.parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise ReportError(
            f"The report cannot be saved in {folder}: {nearest} is not a writable folder. "
            "Name another."
        )


def _pages(report: Report) -> dict[str, str]:
    return {HTML_NAME: report_html(report), MARKDOWN_NAME: report_markdown(report)}


def write_documents(folder: str | PathLike[str], documents: Mapping[str, str]) -> tuple[Path, ...]:
    """Write texts to a folder, each atomically.

    Parameters
    ----------
    folder : str or path
        Created if absent.
    documents : mapping of str to str
        Text by file name.

    Returns
    -------
    tuple of Path
        The files, in order.

    Raises
    ------
    ReportError
        If the folder is a file or cannot be written.
    """
    place = Path(folder).expanduser()
    check_report_folder(place)
    try:
        make_folder(place)
        for name, document in documents.items():
            write_whole(place / name, document.encode())
    except StoreError as err:
        raise ReportError(f"The report cannot be saved in {place}: {err.__cause__}.") from err
    return tuple(place / name for name in documents)
