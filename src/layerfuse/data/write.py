"""``TableWriter``: writes batches to a file, which appears only when complete."""

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

    Rows go to a temporary file in the same folder, which replaces ``path`` when the block ends. If
    the block raises or writes nothing, the temporary file is removed and an existing file stays. A
    new file gets the permissions of the one it replaces; of a link, the target is replaced. The
    first batch fixes the columns and their types. In ``.jsonl``, NaN and infinity become null.

    Parameters
    ----------
    path : str or path
        Output file; its extension gives the format.

    Raises
    ------
    DataError
        If the extension is unknown, or the path is a folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser()
        self._extension = check_extension(self.path)
        if self.path.is_dir():
            raise DataError(f"{self.path} is a folder. Name a file.")
        self._target = Path(os.path.realpath(self.path))
        self._part = self._target.with_name(f".{self._target.name}.{secrets.token_hex(4)}.part")
        self._encoder: Encoder | None = None
        self._schema: pa.Schema | None = None

    def __enter__(self) -> "TableWriter":
        """Create the temporary file, which fails at once if the folder is not writable."""
        with self._disk_errors():
            self._file = self._part.open("xb")
            if self._target.exists():
                shutil.copymode(self._target, self._part)
        return self

    def write(self, batch: pa.RecordBatch) -> None:
        """Append the rows of a batch.

        Raises
        ------
        DataError
            If columns or types differ from the first batch, the format cannot represent a type, or
            writing fails.
        """
        if self._schema is None:
            self._schema = batch.schema
        if not batch.schema.equals(self._schema):
            first, later = (
                ", ".join(f"{field.name!r} ({field.type})" for field in schema)
                for schema in (self._schema, batch.schema)
            )
            raise DataError(f"{self.path}: expected batches with the columns {first}, got {later}.")
        with self._disk_errors():
            if self._encoder is None:
                self._encoder = start_encoder(self._extension, self._file, batch.schema)
            self._encoder.write(batch)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Rename the temporary file to its final name, or remove it."""
        try:
            with self._disk_errors(), self._file:
                if self._encoder is not None:
                    self._encoder.close()
                self._file.flush()
                os.fsync(self._file.fileno())
            if kind is None and self._encoder is not None:
                self._part.replace(self._target)
        finally:
            self._part.unlink(missing_ok=True)

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        """Turn an OSError into a DataError that names the file."""
        try:
            yield
        except OSError as err:
            raise DataError(f"{self.path} cannot be written: {err.strerror or err}.") from err
