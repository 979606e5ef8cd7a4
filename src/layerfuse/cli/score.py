"""``layerfuse score``."""

from typing import Annotated

import typer

from layerfuse.cli.options import (
    BackboneOption,
    DataArgument,
    DeviceOption,
    JsonOption,
    LabelColumnOption,
    MaxTokensOption,
    NoCacheOption,
    NoProgressOption,
    OfflineOption,
    PoolingOption,
    TextColumnOption,
    emit,
    quiet_transformers,
    read_labelled,
    say_columns,
)


def score(
    data: DataArgument,
    backbone: BackboneOption,
    criterion: Annotated[
        list[str] | None, typer.Option(help="loo_ridge (default), probe or depth. Repeatable.")
    ] = None,
    text_column: TextColumnOption = None,
    label_column: LabelColumnOption = None,
    pooling: PoolingOption = None,
    max_tokens: MaxTokensOption = None,
    device: DeviceOption = None,
    offline: OfflineOption = False,
    no_cache: NoCacheOption = False,
    no_progress: NoProgressOption = False,
    json: JsonOption = False,
) -> None:
    """Score every layer of every backbone for these labels; higher is better."""
    from layerfuse.classifier import FusionClassifier
    from layerfuse.core.errors import check_option
    from layerfuse.extract import DEFAULT_CACHE, embed_to_store, store_at
    from layerfuse.report import score_table
    from layerfuse.score import CRITERION_NAMES, score_layers

    quiet_transformers()
    criteria = criterion or ["loo_ridge"]
    for name in criteria:
        check_option("criterion", name, CRITERION_NAMES)
    texts = read_labelled(data, text_column, label_column)
    loader = FusionClassifier(
        backbone,
        pooling=pooling,  # type: ignore[arg-type]
        max_tokens=max_tokens,
        device=device,
        offline=offline,
    )
    backbones = loader.load_backbones()
    say_columns(texts)
    with store_at(None if no_cache else DEFAULT_CACHE) as store:
        stored = [
            embed_to_store(b, texts.texts, store, progress=not no_progress) for b in backbones
        ]
        scored = [score_layers(stored, texts.labels, name) for name in criteria]  # type: ignore[arg-type]
    if json:
        emit(
            {
                s.criterion: {str(r): v for r, v in zip(s.refs, s.values, strict=True)}
                for s in scored
            }
        )
        return
    for scores in scored:
        typer.echo(score_table(scores))
        for name in scores.backbones:
            typer.echo(f"best of {name}: {scores.of(name).best}")
        typer.echo("")
