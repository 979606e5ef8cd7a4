"""``layerfuse models``."""

import typer

from layerfuse.cli import options
from layerfuse.cli.options import emit


def models(json: options.Json = False) -> None:
    """List the packaged models: size, licence, and which are on disk."""
    from layerfuse.core.tables import text_table
    from layerfuse.wheels import PACKAGED_MODELS, is_fetched

    if json:
        emit(
            [
                {
                    "name": name,
                    "about": model.about,
                    "download_bytes": model.download_bytes,
                    "licence": model.licence,
                    "on_disk": is_fetched(name),
                }
                for name, model in PACKAGED_MODELS.items()
            ]
        )
        return
    rows = [
        (
            name,
            model.about,
            f"{model.download_bytes / 2**20:.0f} MiB",
            model.licence,
            "yes" if is_fetched(name) else "no",
        )
        for name, model in PACKAGED_MODELS.items()
    ]
    typer.echo(text_table(("model", "what", "download", "licence", "on disk"), rows))
