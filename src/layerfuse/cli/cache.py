"""``layerfuse cache ls | prune | verify``."""

from typing import TYPE_CHECKING, Annotated

import typer

from layerfuse.cli import options
from layerfuse.cli.options import emit

if TYPE_CHECKING:
    from layerfuse.store import EmbeddingStore

cache_app = typer.Typer(help="Manage the embeddings kept on disk.", rich_markup_mode=None)
_DAMAGED = 1
_PROMPT_CHARACTERS = 24


def _store() -> "EmbeddingStore":
    from layerfuse.store import EmbeddingStore
    from layerfuse.wheels import cache_folder

    return EmbeddingStore(cache_folder() / "embeddings")


@cache_app.command("ls")
def list_entries(json: options.Json = False) -> None:
    """List the cached embeddings by backbone."""
    store = _store()
    entries = store.entries()
    if json:
        emit(
            [
                {
                    "fingerprint": entry.fingerprint,
                    "backbone": entry.spec.name if entry.spec else None,
                    "poolings": list(entry.spec.poolings) if entry.spec else None,
                    "max_tokens": entry.spec.max_tokens if entry.spec else None,
                    "dtype": entry.spec.dtype if entry.spec else None,
                    "prompt": entry.spec.prompt if entry.spec else None,
                    "n_texts": entry.n_texts,
                    "disk_bytes": entry.disk_bytes,
                }
                for entry in entries
            ]
        )
        return
    from layerfuse.core.escape import quoted, shortened
    from layerfuse.core.tables import text_table
    from layerfuse.store import SHORT_FINGERPRINT

    rows = [
        (
            entry.spec.name if entry.spec else "(unreadable)",
            "+".join(entry.spec.poolings) if entry.spec else "",
            str(entry.n_texts),
            f"{entry.disk_bytes / 2**20:.0f} MiB",
            entry.fingerprint[:SHORT_FINGERPRINT],
            shortened(quoted(entry.spec.prompt), _PROMPT_CHARACTERS)
            if entry.spec and entry.spec.prompt
            else "",
        )
        for entry in entries
    ]
    headers = ("backbone", "pooling", "texts", "size", "fingerprint", "prompt")
    n_columns = len(headers) if any(row[-1] for row in rows) else len(headers) - 1
    typer.echo(text_table(headers[:n_columns], [row[:n_columns] for row in rows]))
    typer.echo(f"\nin {store.folder}")


@cache_app.command()
def prune(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[BACKBONE]...", help="Names or fingerprints, as ls shows them."),
    ] = None,
    older_than_days: Annotated[
        float | None, typer.Option(min=0, help="Only entries unused for so many days.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove everything.")] = False,
    json: options.Json = False,
) -> None:
    """Remove entries, and always the leftovers of killed runs."""
    if everything and (names or older_than_days is not None):
        raise typer.BadParameter("--all removes everything; leave out names and --older-than-days.")
    from layerfuse.backbone import remove_unfinished

    freed = _store().prune(names or None, older_than_days=older_than_days, everything=everything)
    freed += remove_unfinished()
    if json:
        emit({"freed_bytes": freed})
    else:
        typer.echo(f"freed {freed / 2**20:.1f} MiB")


@cache_app.command()
def verify(json: options.Json = False) -> None:
    """Check every byte; set damaged files aside, so that their texts are embedded again."""
    damages = _store().verify()
    if json:
        emit({"damages": damages})
    else:
        typer.echo("\n".join([*damages, f"{len(damages)} damaged files"]))
    if damages:
        raise typer.Exit(_DAMAGED)
