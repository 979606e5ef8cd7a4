"""``layerfuse predict``."""

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from layerfuse.cli import options
from layerfuse.cli.options import quiet_transformers, say
from layerfuse.cli.warned import truncation_warned_once

if TYPE_CHECKING:
    import pyarrow as pa

    from layerfuse.classifier import FusionClassifier

_BATCH_ROWS = 1024


def predict(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that fit saved.")],
    file: Annotated[
        str | None,
        typer.Argument(metavar="[FILE]", help="Any data file. Default: stdin, a text a line."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="csv, tsv, jsonl or parquet file to write."),
    ] = None,
    text_column: Annotated[
        str | None,
        typer.Option(help="Column of the texts. Default: that of fit, or guessed."),
    ] = None,
    device: options.Device = None,
    offline: options.Offline = False,
    no_progress: options.NoProgress = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a text.")] = False,
) -> None:
    """Predict the label of every text, in order, with its probability.

    Texts are read from the column that fit used if the file has it; otherwise it is guessed.
    --output writes all columns of the file plus prediction and probability. Without it, every text
    gives one line on standard output: prediction, tab, probability. With --json that line is a JSON
    object with all columns, in which null stands for NaN and infinity. The input file is never
    overwritten.
    """
    import contextlib

    from layerfuse.classifier import FusionClassifier
    from layerfuse.classifier.saved import saved_text_column
    from layerfuse.data import TableWriter, iter_batches

    quiet_transformers()
    stream = None
    if json and output is not None:
        raise typer.BadParameter("--json is for standard output; leave it out with --output.")
    if text_column is not None and file in {None, "-"}:
        raise typer.BadParameter("--text-column is for files; standard input has a text per line.")
    table = TableWriter(output) if output else None  # checks the name before models are loaded
    if file is not None and output is not None:
        _check_apart(file, output.expanduser())
    trained_on = saved_text_column(folder)
    if file is not None and file != "-":
        stream = iter_batches(
            file, text_column, _BATCH_ROWS, usual_column=trained_on, offline=offline
        )
    batches, column = (stream.batches, stream.text_column) if stream else (_stdin_batches(), "text")
    classifier = FusionClassifier.load(folder, device=device, offline=offline)
    classifier.progress = not no_progress
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(table) if table else None
        totals = stack.enter_context(truncation_warned_once())
        if stream:
            differs = trained_on not in {None, column}
            note = f"; the classifier was fitted on column {trained_on!r}" if differs else ""
            say(f"texts from {stream.source}, column {column!r}{note}")
        for batch in batches:
            totals.n_texts += batch.num_rows
            predicted = _add_predictions(classifier, batch, column)
            if writer:
                writer.write(predicted)
            else:
                _print(predicted, json=json)


def _check_apart(file: str, output: Path) -> None:
    """Raise if the output is the input file, also under another name."""
    from layerfuse.core.errors import DataError
    from layerfuse.data import find_file
    from layerfuse.data.sources import check_one_table

    if file == "-" or not output.exists():
        return
    check_one_table(file)
    read = find_file(file)  # for a folder, the table in it
    if read is not None and read.samefile(output):
        raise DataError(f"--output {output} is the file that is read. Name another.")


def _stdin_batches() -> Iterator["pa.RecordBatch"]:
    import pyarrow as pa

    from layerfuse.core.errors import DataError

    lines: Iterator[tuple[int, bytes]] = enumerate(sys.stdin.buffer, 1)
    first = next(lines, None)
    if first is None:
        raise DataError("Standard input is empty: it holds no texts.")
    lines = itertools.chain([first], lines)
    while batch := [_decoded(raw, number) for number, raw in itertools.islice(lines, _BATCH_ROWS)]:
        yield pa.record_batch({"text": batch})


def _decoded(raw: bytes, number: int) -> str:
    from layerfuse.core.errors import DataError

    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as err:
        raise DataError(f"Standard input, line {number}: not UTF-8 ({err.reason}).") from err


def _add_predictions(
    classifier: "FusionClassifier", batch: "pa.RecordBatch", column: str
) -> "pa.RecordBatch":
    from layerfuse.data import with_predictions

    probabilities = classifier.predict_proba(batch.column(column))
    best = probabilities.argmax(1)
    return with_predictions(batch, classifier.classes_[best], probabilities.max(1))


def _print(batch: "pa.RecordBatch", *, json: bool) -> None:
    from layerfuse.data import json_line, json_rows

    if json:
        for row in json_rows(batch):
            typer.echo(json_line(row))
    else:
        rows: list[dict[str, Any]] = batch.select(["prediction", "probability"]).to_pylist()
        for row in rows:
            label = " ".join(str(row["prediction"]).split())  # without line breaks and tabs
            typer.echo(f"{label}\t{row['probability']:.4f}")
