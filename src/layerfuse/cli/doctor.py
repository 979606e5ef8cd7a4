"""``layerfuse doctor``."""

from typing import Any

import typer

from layerfuse.cli import options
from layerfuse.cli.options import emit, filled


def doctor(offline: options.Offline = False, json: options.Json = False) -> None:
    """Show what this machine supports, which kernels run, and what to change."""
    from layerfuse.core.tables import text_table
    from layerfuse.report.machine import examine_machine

    checkup = examine_machine(network=not offline)
    if json:
        emit({**checkup.facts, "advice": list(checkup.advice)})
        return
    rows = [
        (section if i == 0 else "", name.removesuffix("_bytes"), _plain(name, value))
        for section, facts in checkup.facts.items()
        for i, (name, value) in enumerate(facts.items())
    ]
    typer.echo(text_table(("", "what", "here"), rows))
    typer.echo("")
    for advice in checkup.advice or ["Nothing to change."]:
        typer.echo(filled(advice, bullet="- "))


def _plain(name: str, value: Any) -> str:
    """Format a value for people."""
    if name.endswith("_bytes"):
        return f"{value / 2**30:.1f} GiB"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(value) or "none"
    if value is None:
        return "not checked" if name in {"hub", "package_index"} else "not set"
    return str(value)
