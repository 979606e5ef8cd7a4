"""Where embeddings are kept: the user's cache, a folder of the user's, or nowhere for long."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from layerfuse.core.errors import UnknownOptionError
from layerfuse.store import EmbeddingStore
from layerfuse.wheels import cache_folder

DEFAULT_CACHE = "default"


@contextmanager
def store_at(cache: str | PathLike[str] | None) -> Iterator[EmbeddingStore]:
    """Open the store that a ``cache`` option means.

    Parameters
    ----------
    cache : str, path or None
        ``default``: ``embeddings`` in the cache folder of layerfuse. A path: that folder. None: a
        temporary folder, removed in the end.

    Yields
    ------
    EmbeddingStore
        For the time of the ``with`` block.

    Raises
    ------
    UnknownOptionError
        If it is none of these.
    """
    if not isinstance(cache, str | PathLike | None):
        raise UnknownOptionError(
            f"cache={cache!r}: expected {DEFAULT_CACHE!r}, a folder, or None to keep nothing."
        )
    if cache is None:
        with tempfile.TemporaryDirectory(prefix="layerfuse-") as scratch:
            yield EmbeddingStore(scratch)
    else:
        folder = cache_folder() / "embeddings" if cache == DEFAULT_CACHE else Path(cache)
        yield EmbeddingStore(folder.expanduser())
