"""Options that several commands share, and what they print alike."""

import json
import sys
from typing import Annotated, Any

import typer

DataArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="csv, tsv, jsonl or parquet file, a folder of them, a hub dataset, or movie-reviews.",
    ),
]
BackboneOption = Annotated[
    list[str],
    typer.Option(
        "--backbone", "-b", help="Folder, .gguf file, packaged model or hub id. Repeatable."
    ),
]
TextColumnOption = Annotated[
    str | None, typer.Option("--text-column", help="Column of the texts. Default: guessed.")
]
LabelColumnOption = Annotated[
    str | None, typer.Option("--label-column", help="Column of the labels. Default: guessed.")
]
PoolingOption = Annotated[
    list[str] | None,
    typer.Option("--pooling", help="Repeatable. Default: mean; for decoders mean and last."),
]
MaxTokensOption = Annotated[
    int | None, typer.Option("--max-tokens", min=1, help="Longer texts are truncated.")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Draws folds and samples.")]
DeviceOption = Annotated[
    str | None,
    typer.Option("--device", help="Such as cpu or cuda:0. Default: a GPU if there is one."),
]
OfflineOption = Annotated[bool, typer.Option("--offline", help="Never reach for the network.")]
NoProgressOption = Annotated[bool, typer.Option("--no-progress", help="No progress bars.")]
NoCacheOption = Annotated[bool, typer.Option("--no-cache", help="Keep no embeddings on disk.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


def say(message: str) -> None:
    """Tell a person something, on standard error, so that standard output stays clean."""
    sys.stderr.write(message + "\n")


def emit(document: dict[str, Any] | list[Any]) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def quiet_transformers() -> None:
    """Silence the progress bars that transformers shows while it loads weights."""
    from transformers.utils import logging

    logging.disable_progress_bar()
