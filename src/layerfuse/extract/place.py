"""Where embeddings are kept: the default cache, a given folder, or a temporary one."""

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
    """Open the store for a ``cache`` option.

    Parameters
    ----------
    cache : str, path or None
        ``default``: ``embeddings`` in the cache folder of layerfuse. A path: that folder. None: a
        temporary folder, removed when the ``with`` block ends.

    Yields
    ------
    EmbeddingStore
        The store, for use within the ``with`` block.

    Raises
    ------
    UnknownOptionError
        If the option is none of these.
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
