"""``save_report``: a report as a folder of three files; ``save_pages``: two of them drawn again."""

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
    """Write ``report.html``, ``report.md`` and, when they are there, ``report.json``.

    Each is written beside its place and renamed, so that it is there whole or as it was before.

    Parameters
    ----------
    report : Report
        What a comparison found.
    folder : str or path
        Made if absent.

    Returns
    -------
    tuple of Path
        The three files.

    Raises
    ------
    ReportError
        If the folder is a file, or the disk refuses.
    """
    return write_documents(folder, {**_pages(report), JSON_NAME: report.to_json()})


def save_pages(report: Report, folder: str | PathLike[str]) -> tuple[Path, ...]:
    """Write ``report.html`` and ``report.md`` alone, as ``save_report`` does.

    Parameters
    ----------
    report : Report
        What ``Report.load`` read.
    folder : str or path
        Where it was read from.

    Returns
    -------
    tuple of Path
        The two files.

    Raises
    ------
    ReportError
        If the folder is a file, or the disk refuses.
    """
    return write_documents(folder, _pages(report))


def check_report_folder(folder: str | PathLike[str]) -> None:
    """Refuse before the long work a place where no report could be saved after it.

    Parameters
    ----------
    folder : str or path
        Need not exist yet.

    Raises
    ------
    ReportError
        If it is a file, or it may not be written.
    """
    place = Path(folder).expanduser().resolve()
    if place.exists() and not place.is_dir():
        raise ReportError(f"Expected a folder for the report, {folder} is a file. Name another.")
    nearest = next(path for path in (place, *place.parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise ReportError(
            f"The report cannot be saved in {folder}: {nearest} is no folder one may write to. "
            "Name another."
        )


def _pages(report: Report) -> dict[str, str]:
    return {HTML_NAME: report_html(report), MARKDOWN_NAME: report_markdown(report)}


def write_documents(folder: str | PathLike[str], documents: Mapping[str, str]) -> tuple[Path, ...]:
    """Write texts to a folder, each whole or as it was before.

    Parameters
    ----------
    folder : str or path
        Made if absent.
    documents : mapping of str to str
        Text by file name.

    Returns
    -------
    tuple of Path
        The files, in order.

    Raises
    ------
    ReportError
        If the folder is a file, or the disk refuses.
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
