"""``layerfuse fit``."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from layerfuse.cli import options
from layerfuse.cli.options import (
    emit,
    filled,
    prompt_of,
    quiet_transformers,
    read_labelled,
    say_columns,
)

if TYPE_CHECKING:
    from layerfuse.classifier import FusionClassifier
    from layerfuse.data import TextData


def fit(
    data: options.Data,
    backbone: options.Backbone,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to save the classifier in.")],
    criterion: Annotated[
        str, typer.Option(help="How layers are scored; see docs/criteria.md.")
    ] = "loo_ridge",
    selector: options.Selector = "auto",
    k: options.NumberOfLayers = None,
    max_ms: options.MaxMilliseconds = None,
    max_mb: options.MaxMegabytes = None,
    fusion: Annotated[
        str,
        typer.Option(
            help="concat, mean, static_gate, gated, stacking, ...; auto tries several. See "
            "docs/fusions.md."
        ),
    ] = "concat",
    head: options.Head = "auto",
    lexical: options.Lexical = None,
    balanced: options.Balanced = False,
    include_backbones: Annotated[
        bool,
        typer.Option("--include-backbones", help="Save the cut backbones too, to load offline."),
    ] = False,
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    prompt: options.Prompt = None,
    pooling: options.Pooling = None,
    max_tokens: options.MaxTokens = None,
    seed: options.Seed = 0,
    dtype: options.Dtype = "float32",
    device: options.Device = None,
    offline: options.Offline = False,
    no_cache: options.NoCache = False,
    no_progress: options.NoProgress = False,
    json: options.Json = False,
) -> None:
    """Fit a classifier on labelled texts and save it to a folder."""
    from layerfuse.bundle import check_place
    from layerfuse.classifier import FusionClassifier
    from layerfuse.extract import DEFAULT_CACHE

    quiet_transformers()
    check_place(out)
    texts = read_labelled(data, text_column, label_column, offline=offline)
    classifier = FusionClassifier(
        backbone,
        criterion=criterion,  # type: ignore[arg-type]
        selector=selector,  # type: ignore[arg-type]
        k=k,
        max_ms=max_ms,
        max_mb=max_mb,
        fusion=fusion,  # type: ignore[arg-type]
        head=head,  # type: ignore[arg-type]
        lexical="auto" if lexical is None else lexical,
        class_weight="balanced" if balanced else None,
        prompt=prompt_of(prompt),
        pooling=pooling,  # type: ignore[arg-type]
        max_tokens=max_tokens,
        dtype=dtype,  # type: ignore[arg-type]
        device=device,
        offline=offline,
        cache=None if no_cache else DEFAULT_CACHE,
        progress=not no_progress,
        random_state=seed,
    )
    classifier.backbones = classifier.load_backbones()
    say_columns(texts)
    classifier.fit(texts.texts, texts.labels)
    classifier.text_column_ = texts.text_column
    classifier.save(out, include_backbones=include_backbones)
    if json:
        emit(_document(classifier, texts, out))
    else:
        _print(classifier, out)


def _document(classifier: "FusionClassifier", texts: "TextData", out: Path) -> dict[str, Any]:
    from layerfuse.core.texts import encodable
    from layerfuse.fuse import fusion_name

    return {
        "folder": encodable(str(out)),
        "n_texts": len(texts.texts),
        "text_column": texts.text_column,
        "label_column": texts.label_column,
        "classes": classifier.classes_.tolist(),
        "criterion": classifier.scores_.criterion,
        "scores": {
            str(ref): value
            for ref, value in zip(classifier.scores_.refs, classifier.scores_.values, strict=True)
        },
        "selection": [str(ref) for ref in classifier.selection_],
        "reason": classifier.selection_.reason,
        "fusion": fusion_name(classifier.fusion_),
        "trials": [dataclasses.asdict(trial) for trial in classifier.trials_],
        "head": classifier.head_.kind,
        "lexical": classifier.head_.lexical is not None,
        "validation": [
            {"head": c.kind, "accuracy": c.accuracy, "log_loss": c.log_loss}
            for c in classifier.validation_
        ],
        "overhead": classifier.overhead_.to_dict(),
    }


def _print(classifier: "FusionClassifier", out: Path) -> None:
    from layerfuse.core.texts import encodable
    from layerfuse.fuse import fusion_name
    from layerfuse.report import score_table, trial_table

    typer.echo(score_table(classifier.scores_, classifier.selection_))
    n_layers = len(classifier.selection_)
    plural = "" if n_layers == 1 else "s"
    chosen = f"Chosen: {classifier.selection_.reason}; {n_layers} layer{plural}."
    typer.echo(f"\n{filled(chosen)}")
    if len(classifier.trials_) > 1:
        typer.echo(f"\n{trial_table(classifier.trials_, fusion_name(classifier.fusion_))}\n")
    typer.echo("On held-out training texts:")
    for candidate in classifier.validation_:
        kept = " (kept)" if candidate.kind == classifier.head_.candidate else ""
        typer.echo(
            f"  {candidate.name}: accuracy {candidate.accuracy:.1%}, "
            f"log loss {candidate.log_loss:.3f}{kept}"
        )
    cost = classifier.overhead_
    typer.echo(
        f"Took {cost.wall_seconds:.0f} s, peak memory {cost.peak_memory_bytes / 2**20:.0f} MiB. "
        f"Saved to {encodable(str(out))}"
    )
