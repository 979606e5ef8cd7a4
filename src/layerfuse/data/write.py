"""``TableWriter``: writes batches to a file that appears when it is complete."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from layerfuse.core.errors import DataError
from layerfuse.data.encode import Encoder, start_encoder
from layerfuse.data.formats import check_extension


class TableWriter:
    """Context manager that streams batches to ``.csv``, ``.tsv``, ``.jsonl`` or ``.parquet``.

    The rows go to a temporary file in the same folder, which takes the place of ``path`` when the
    block ends; if the block raises, or nothing was written, no file is left and one that was there
    stays as it was. What is replaced hands on its permissions, and a link stays: the file it leads
    to is replaced. The first batch settles the columns. In ``.jsonl`` null stands for NaN and
    infinity, which JSON has not.

    Parameters
    ----------
    path : str or path
        The extension says the format.

    Raises
    ------
    DataError
        If the extension is unknown, or a folder has that name.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser()
        self._extension = check_extension(self.path)
        if self.path.is_dir():
            raise DataError(f"{self.path} is a folder. Name a file.")
        self._target = Path(os.path.realpath(self.path))
        self._part = self._target.with_name(f".{self._target.name}.{secrets.token_hex(4)}.part")
        self._encoder: Encoder | None = None

    def __enter__(self) -> "TableWriter":
        """Create the temporary file, so that a folder that cannot be written fails at once."""
        with self._told():
            self._file = self._part.open("xb")
            if self._target.exists():
                shutil.copymode(self._target, self._part)
        return self

    def write(self, batch: pa.RecordBatch) -> None:
        """Append the rows of a batch.

        Raises
        ------
        DataError
            If the batch does not fit the columns of the first, the format cannot hold a type, or
            the disk refuses.
        """
        with self._told():
            if self._encoder is None:
                self._encoder = start_encoder(self._extension, self._file, batch.schema)
            self._encoder.write(batch)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Put the file in its place, or remove it."""
        try:
            with self._told(), self._file:
                if self._encoder is not None:
                    self._encoder.close()
                self._file.flush()
                os.fsync(self._file.fileno())
            if kind is None and self._encoder is not None:
                self._part.replace(self._target)
        finally:
            self._part.unlink(missing_ok=True)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Name the file where the disk refuses, which says no more than why."""
        try:
            yield
        except OSError as err:
            raise DataError(f"{self.path} cannot be written: {err.strerror or err}.") from err
