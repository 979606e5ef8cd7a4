"""``layerfuse report``."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that compare saved.")],
) -> None:
    """Write report.html and report.md again from the report.json in the folder."""
    from layerfuse.report.document import Report
    from layerfuse.report.save import save_pages

    for path in save_pages(Report.load(folder), folder):
        typer.echo(path)
