"""``layerfuse score``."""

import os
from dataclasses import replace
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
    say,
    say_columns,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from layerfuse.core.choice import LayerChoice
    from layerfuse.data import TextData


def score(
    data: options.Data,
    backbone: options.Backbone,
    criterion: Annotated[
        list[str] | None,
        typer.Option(help="Repeatable. Default: loo_ridge. docs/criteria.md compares them."),
    ] = None,
    selector: Annotated[
        str,
        typer.Option(
            help="How layers are chosen: best, top, upper_half, upper_top, best_backbone, greedy, "
            "mrmr, group_lasso or budget."
        ),
    ] = "best",
    k: options.NumberOfLayers = None,
    max_ms: options.MaxMilliseconds = None,
    max_mb: options.MaxMegabytes = None,
    resamples: Annotated[
        int | None,
        typer.Option(
            min=0, help="Resamples for stability. Default: 200, or 20 if each is fitted anew."
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="SVG file to plot scores against depth in.")
    ] = None,
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
    """Score every layer, choose some, and measure how stable the choice is."""
    from layerfuse.classifier import FusionClassifier, choose_layers, gather_signals
    from layerfuse.classifier.limits import measured_budget
    from layerfuse.classifier.options import check_options
    from layerfuse.core.errors import check_option
    from layerfuse.extract import DEFAULT_CACHE, embed_to_store, store_at
    from layerfuse.report import score_plot
    from layerfuse.select import SELECTOR_NAMES

    quiet_transformers()
    plot = plot.expanduser() if plot else None
    criteria = list(dict.fromkeys(criterion or ["loo_ridge"]))
    loader = FusionClassifier(
        backbone,
        selector=selector,  # type: ignore[arg-type]
        k=k,
        max_ms=max_ms,
        max_mb=max_mb,
        prompt=prompt_of(prompt),
        pooling=pooling,  # type: ignore[arg-type]
        max_tokens=max_tokens,
        dtype=dtype,  # type: ignore[arg-type]
        device=device,
        offline=offline,
    )
    check_option("selector", selector, SELECTOR_NAMES)
    check_options(loader.get_params(deep=False))
    _check_plot(plot)
    texts = _read(data, text_column, label_column, criteria, selector, offline=offline)
    backbones = loader.load_backbones()
    _say(texts, criteria)
    texts = _distinct(texts)
    with store_at(None if no_cache else DEFAULT_CACHE) as store:
        stored = [
            embed_to_store(b, texts.texts, store, progress=not no_progress) for b in backbones
        ]
        budget = measured_budget(backbones, texts.texts, max_ms, max_mb, random_state=seed)
        signals = gather_signals(stored, texts.labels, criteria, random_state=seed)  # type: ignore[arg-type]
        choices = [
            choose_layers(
                stored,
                texts.labels,
                name,  # type: ignore[arg-type]
                selector,  # type: ignore[arg-type]
                k=k,
                budget=budget,
                signals=signals,
                n_resamples=resamples,
                random_state=seed,
            )
            for name in criteria
        ]
    if plot is not None:
        depths = {one.name: one.deepest for one in backbones}
        title = f"Layers of {Path(data).name}"
        plot.write_text(score_plot(choices, title, depths=depths), "utf-8")
    prompts = {one.name: one.spec.prompt for one in backbones if one.spec.prompt}
    if json:
        emit({choice.scores.criterion: _document(choice, prompts) for choice in choices})
    else:
        _print(choices, prompts)


def _read(
    data: str,
    text_column: str | None,
    label_column: str | None,
    criteria: "Sequence[str]",
    selector: str,
    *,
    offline: bool,
) -> "TextData":
    """Read texts, with labels if a criterion, the selector or the user needs them."""
    from layerfuse.core.errors import DataError, LabelError
    from layerfuse.data import load_texts
    from layerfuse.score import CRITERIA, criterion_info
    from layerfuse.select import needs_embeddings

    blind = all(criterion_info(name).label_free for name in criteria)  # type: ignore[arg-type]
    blind &= label_column is None and not needs_embeddings(selector)  # type: ignore[arg-type]
    if blind:
        return load_texts(data, text_column=text_column, labelled=False, offline=offline)
    try:
        return read_labelled(data, text_column, label_column, offline=offline)
    except (DataError, LabelError) as err:
        if label_column is not None:
            raise
        # Raises if the texts, too, cannot be read; then labels are not the problem.
        load_texts(data, text_column=text_column, labelled=False, offline=offline)
        free = ", ".join(name for name, info in CRITERIA.items() if info.label_free)
        raise LabelError(f"{err} These criteria need no labels: {free}.") from err


def _say(texts: "TextData", criteria: "Sequence[str]") -> None:
    from layerfuse.score import criterion_info

    if texts.labels is not None:
        say_columns(texts)
    else:
        say(f"{len(texts.texts)} texts from {texts.source}, column {texts.text_column!r}")
    for info in (criterion_info(name) for name in criteria):  # type: ignore[arg-type]
        if info.warning:
            say(f"{info.name}: {info.warning}")


def _distinct(texts: "TextData") -> "TextData":
    """Return the texts without near-duplicates of the same label."""
    import numpy as np

    from layerfuse.classifier.supervise import keep_distinct
    from layerfuse.data import index_labels

    labels = texts.labels
    classes = np.zeros(len(texts.texts), int) if labels is None else index_labels(labels)[1]
    rows = keep_distinct(texts.texts, classes).tolist()
    if len(rows) < len(texts.texts):
        n_left = len(texts.texts) - len(rows)
        say(f"left out {n_left} near-duplicates; {len(rows)} texts are scored")
    kept = [texts.texts[i] for i in rows]
    return replace(texts, texts=kept, labels=None if labels is None else labels[rows])


def _check_plot(plot: Path | None) -> None:
    """Raise unless the plot can be written; called before the long work."""
    if plot is None:
        return
    if plot.suffix.lower() != ".svg":
        raise typer.BadParameter(
            f"--plot writes SVG, got {plot}. Name it {plot.with_suffix('.svg')}."
        )
    target = plot if plot.exists() else plot.resolve().parent
    if plot.is_dir():
        why = "it is a folder"
    elif not target.is_dir() and target != plot:
        why = f"there is no folder {target}"
    elif not os.access(target, os.W_OK):
        why = f"{target} is not writable"
    else:
        return
    raise OSError(f"{plot} cannot be written: {why}.")


def _document(choice: "LayerChoice", prompts: dict[str, str]) -> dict[str, Any]:
    scores, stability = choice.scores, choice.stability
    names = [str(ref) for ref in scores.refs]
    return {
        "scores": dict(zip(names, scores.values, strict=True)),
        "standard_errors": dict(zip(names, choice.standard_errors, strict=False)),
        "selection": [str(ref) for ref in choice.selection],
        "reason": choice.selection.reason,
        "stability": {} if stability is None else dict(zip(names, stability.shares, strict=True)),
        "resamples": 0 if stability is None else stability.n_resamples,
        "prompts": prompts,
    }


def _print(choices: "Sequence[LayerChoice]", prompts: dict[str, str]) -> None:
    from layerfuse.core.escape import quoted
    from layerfuse.report import score_table

    for name, prompt in prompts.items():
        typer.echo(f"prompt of {name}: {quoted(prompt)}")
    if prompts:
        typer.echo("")
    for choice in choices:
        typer.echo(score_table(choice.scores, choice.selection, choice.stability))
        typer.echo(filled(f"Chosen: {choice.selection.reason}."))
        if choice.stability is not None:
            n_resamples = choice.stability.n_resamples
            typer.echo(f"Stability: share of {n_resamples} resamples that choose the layer.")
        typer.echo("")
