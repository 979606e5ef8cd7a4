"""``run_study``: one comparison per data set, set of backbones and seed; resumes if stopped."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain, product
from os import PathLike
from pathlib import Path

from layerfuse.backbone import weights_digest
from layerfuse.classifier import FusionClassifier
from layerfuse.core.errors import BackboneLoadError, DataError, LabelError, LayerFuseError
from layerfuse.core.files import file_digest
from layerfuse.data import EXTENSIONS, find_file, load_test_texts, load_texts, test_split
from layerfuse.extract import DEFAULT_CACHE
from layerfuse.report.comparison import compare
from layerfuse.report.document import JSON_NAME, REPORT_VERSION, Report
from layerfuse.report.save import save_report
from layerfuse.report.split import Split
from layerfuse.report.study_config import StudyConfig, StudyData

_BESIDE_WEIGHTS = (  # files besides the weights that change embeddings: tokenizer and code
    "tokenizer*",
    "*vocab*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "*.model",
    "*.tiktoken",
    "*.py",
)


@dataclass(frozen=True, slots=True)
class Run:
    """One comparison of a study.

    Parameters
    ----------
    data, backbones : str
        Names in the configuration.
    seed : int
        The ``random_state``.
    report : Report
        The result.
    """

    data: str
    backbones: str
    seed: int
    report: Report


def run_study(
    config: StudyConfig,
    folder: str | PathLike[str],
    *,
    base: str | PathLike[str] = ".",
    cache: str | PathLike[str] | None = DEFAULT_CACHE,
    device: str | None = None,
    offline: bool = False,
    progress: bool = True,
) -> Iterator[Run]:
    """Compare on every data set with every set of backbones under every seed.

    A finished run is saved. If the folder has a run with the same settings and files, it is read
    and not repeated, so that a stopped study resumes.

    Parameters
    ----------
    config : StudyConfig
        Settings of the study.
    folder : path
        Output folder; ``runs/`` in it gets one report per run.
    base : path
        Folder at which relative paths of data and backbones start.
    cache, device, offline, progress
        As in ``FusionClassifier``.

    Yields
    ------
    Run
        In the order of the configuration.

    Raises
    ------
    DataError, BackboneLoadError, LabelError
        If texts or a local backbone are not found, or labels are invalid; before the first run.
    ReportError
        If a report cannot be saved.
    """
    # Check all paths first, so that a wrong one fails before the first run and not after hours.
    files = {name: _digests(data, base) for name, data in config.data.items()}
    sets = {
        set_name: tuple(_source(backbone, base, BackboneLoadError) for backbone in backbones)
        for set_name, backbones in config.backbones.items()
    }
    weights = {backbone: _weights(backbone) for backbone in chain.from_iterable(sets.values())}

    def place(name: str, set_name: str, seed: int) -> Path:
        digests = [*files[name], *(weights[backbone] for backbone in sets[set_name])]
        settings = _settings(config, config.data[name], set_name, seed, digests)
        run = f"{_safe(name)}--{_safe(set_name)}--{seed}-{settings}"
        return Path(folder).expanduser() / "runs" / run

    runs = list(product(sets, config.seeds))
    for name, data in config.data.items():
        if not all((place(name, *run) / JSON_NAME).is_file() for run in runs):
            # Only a check; loaded again for its runs, because all together may not fit in memory.
            _load(name, data, base, offline=offline)
    for name, data in config.data.items():
        split: Split | None = None
        for set_name, seed in runs:
            where = place(name, set_name, seed)
            if not (where / JSON_NAME).is_file():
                split = split or _load(name, data, base, offline=offline)
                classifier = FusionClassifier(
                    sets[set_name],
                    criterion=config.criterion,
                    selector=config.selector,
                    max_ms=config.max_ms,
                    max_mb=config.max_mb,
                    fusion=config.fusions[0],
                    prompt=config.prompts.get(set_name, ""),
                    max_tokens=config.max_tokens,
                    dtype=config.dtype,
                    cache=cache,
                    device=device,
                    offline=offline,
                    progress=progress,
                    random_state=seed,
                )
                try:
                    report = _compare(classifier, split, name, config)
                except LayerFuseError as err:  # the message must name the run
                    run = f"Data set {name!r}, backbones {set_name!r}, seed {seed}"
                    raise type(err)(f"{run}: {err}") from err
                save_report(report, where)
            yield Run(name, set_name, seed, Report.load(where))


def _compare(classifier: FusionClassifier, split: Split, name: str, config: StudyConfig) -> Report:
    return compare(
        classifier,
        split.texts,
        split.labels,
        split.test_texts,
        split.test_labels,
        name=name,
        fusions=config.fusions[1:],
        curve=config.curve,
        costs=classifier.random_state == config.seeds[0],  # costs do not depend on the seed
    )


def _load(name: str, data: StudyData, base: str | PathLike[str], *, offline: bool) -> Split:
    """Read and check training and test texts."""
    (source, _), (test_source, _) = _sources(data, base)
    try:
        train = load_texts(
            source,
            text_column=data.text_column,
            label_column=data.label_column,
            offline=offline,
        )
        test = load_test_texts(test_source, train, offline=offline)
        train, test = train.with_label_type_of(test), test.with_label_type_of(train)
        return Split.of(train.texts, train.labels, test.texts, test.labels)
    except (DataError, LabelError) as err:
        raise type(err)(f"Data set {name!r}: {err}") from err


def _sources(data: StudyData, base: str | PathLike[str]) -> list[tuple[str, str | None]]:
    """Return source and split of training and test texts."""
    train, test = (_source(side, base, DataError) for side in (data.train, data.test))
    return [(train, None), (test, test_split(test))]


def _source(
    side: str, base: str | PathLike[str], error: type[BackboneLoadError | DataError]
) -> str:
    """Return the path under ``base`` if it exists there, otherwise the name, as of the hub.

    Loaders would look for a name in the working folder first. A path that exists only there is
    therefore refused.
    """
    path = Path(base) / Path(side).expanduser()
    if path.exists():
        return str(path)
    if Path(side).exists():
        raise error(
            f"Expected {side} at {path}, relative to the configuration, but it exists only in the "
            f"working folder {Path.cwd()}. Give its path relative to the configuration; or if you "
            "mean a model or data set of that name, run from another folder."
        )
    return str(path) if path.suffix.lower() in EXTENSIONS else side


def _digests(data: StudyData, base: str | PathLike[str]) -> list[str]:
    """Return a digest of each file of texts; "" for a source that is not a local file.

    Raises
    ------
    DataError
        If a source is not found.
    """
    files = [find_file(source, split) for source, split in _sources(data, base)]
    return ["" if file is None else file_digest(file) for file in files]


def _weights(backbone: str) -> str:
    """Return digests of the files of a local backbone; "" for any other."""
    path = Path(backbone).expanduser()
    if not path.exists():
        return ""
    files = {file for name in _BESIDE_WEIGHTS for file in path.glob(name) if file.is_file()}
    beside = [f"{file.name} {file_digest(file)}" for file in sorted(files)]
    return "\n".join([weights_digest(path), *beside])


def _settings(
    config: StudyConfig,
    data: StudyData,
    set_name: str,
    seed: int,
    files: Sequence[str],
) -> str:
    """Return a digest of everything that a run depends on."""
    settings = config.as_json() | {
        "data": [data.train, data.test, data.text_column, data.label_column],
        "files": list(files),
        "backbones": list(config.backbones[set_name]),
        "prompts": list(config.prompts.get(set_name, ())),
        "seeds": [seed, config.seeds[0] == seed],
        "versions": [REPORT_VERSION, version("layerfuse")],
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


def _safe(name: str) -> str:
    """Return a name as part of a folder name: 100 bytes, as two and a seed must fit in 255."""
    kept = "".join(c if c.isalnum() or c in "-._" else "_" for c in name)
    return kept.encode()[:100].decode(errors="ignore")
