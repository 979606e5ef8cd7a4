"""Shards: safetensors files with one tensor per row, digests of the texts, and checksums.

The file name begins with a digest of the header, and the header has a checksum of each tensor. So
each tensor can be read and checked alone. Any safetensors reader can open a shard.
"""

import contextlib
import hashlib
import json
import os
import secrets
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from layerfuse.core.arrays import Digests, Features
from layerfuse.core.errors import StoreError
from layerfuse.store.digests import DIGEST_BYTES
from layerfuse.store.files import store_error, write_whole

SHARD = ".safetensors"
DAMAGED = ".damaged"
_DIGEST = "digest"
_LENGTH_BYTES = 8  # safetensors: length of the header, then the header as JSON, then the tensors
_DTYPES = {"F32": "<f4", "U8": "u1"}


class ShardDamagedError(StoreError):
    """A shard differs from what was written."""

    def __init__(self, path: Path, damage: str) -> None:
        super().__init__(f"{path} is damaged: {damage}.")
        self.path = path


@dataclass(frozen=True, slots=True)
class _Place:
    """The place of a tensor in the file."""

    start: int
    dtype: str
    shape: tuple[int, ...]
    checksum: str


@dataclass(frozen=True, slots=True, eq=False)
class Shard:
    """An opened shard: header and digests are read and checked, rows are still on disk.

    Parameters
    ----------
    path : Path
        The file.
    digests : array of shape (text,)
        Digests of its texts, dtype ``S16``.
    rows : mapping of str to place
        Places of its rows, by ``layer:pooling``.
    """

    path: Path
    digests: Digests
    rows: Mapping[str, _Place]

    def read(self, keys: Iterable[str]) -> Iterator[Features]:
        """Yield the (text, hidden) matrix of each row after checking it.

        Raises
        ------
        ShardDamagedError
            If a matrix differs from what was written.
        FileNotFoundError
            If another process has pruned the file.
        StoreError
            If the file cannot be read.
        """
        with _opened(self.path) as file:
            for key in keys:
                yield _read_tensor(file, self.path, key, self.rows[key])

    def verify(self) -> None:
        """Read and check every row.

        Raises
        ------
        ShardDamagedError
            If one differs from what was written.
        """
        for _ in self.read(self.rows):
            pass


def write_shard(folder: Path, digests: Digests, rows: Mapping[str, Features]) -> None:
    """Write a shard under a new name.

    Raises
    ------
    StoreError
        If the disk is full or not writable; then no temporary file is left.
    """
    tensors = {**rows, _DIGEST: digests.view(np.uint8).reshape(-1, DIGEST_BYTES)}
    checksums = {name: _checksum(tensor) for name, tensor in tensors.items()}
    data = save(tensors, metadata=checksums)
    header = data[: _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "little")]
    # The random part keeps names distinct, so that many processes can append without locks.
    write_whole(folder / f"{_header_digest(header)}-{secrets.token_hex(8)}{SHARD}", data)


def open_shard(path: Path) -> Shard:
    """Read and check the header and the digests of a shard.

    Raises
    ------
    ShardDamagedError
        If either, or the length of the file, differs from what was written.
    FileNotFoundError
        If another process has pruned the file.
    StoreError
        If the file cannot be read.
    """
    with _opened(path) as file:
        rows = _read_header(file, path)
        digests = _read_tensor(file, path, _DIGEST, rows.pop(_DIGEST))
    return Shard(path, digests.view(f"S{DIGEST_BYTES}").ravel(), rows)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    try:
        with path.open("rb") as file:
            yield file
    except (FileNotFoundError, StoreError):
        raise
    except OSError as err:
        raise store_error("read", path, err) from err


def _read_header(file: BufferedReader, path: Path) -> dict[str, _Place]:
    size = os.fstat(file.fileno()).st_size
    prefix = file.read(_LENGTH_BYTES)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < _LENGTH_BYTES or length > size - _LENGTH_BYTES:
        raise ShardDamagedError(path, f"a header of {length} bytes in a file of {size}")
    header = prefix + file.read(length)
    if _header_digest(header) != path.name.partition("-")[0]:
        raise ShardDamagedError(path, "the header's digest is not the one in the file name")
    fields = json.loads(header[_LENGTH_BYTES:])  # valid, because its digest was checked
    checksums = fields.pop("__metadata__")
    end = len(header) + max(field["data_offsets"][1] for field in fields.values())
    if size != end:
        raise ShardDamagedError(path, f"expected {end} bytes, the file has {size}")
    return {
        name: _Place(
            start=len(header) + field["data_offsets"][0],
            dtype=_DTYPES[field["dtype"]],
            shape=tuple(field["shape"]),
            checksum=checksums[name],
        )
        for name, field in fields.items()
    }


def _read_tensor(file: BufferedReader, path: Path, name: str, place: _Place) -> np.ndarray:
    tensor = np.empty(place.shape, place.dtype)
    file.seek(place.start)
    n_bytes = file.readinto(tensor.data.cast("B"))
    if n_bytes != tensor.nbytes or _checksum(tensor) != place.checksum:
        raise ShardDamagedError(path, f"the checksum of tensor {name!r} differs")
    return tensor


def _checksum(tensor: np.ndarray) -> str:
    # CRC-32 detects every single flipped byte and is four times as fast as a digest.
    return f"{zlib.crc32(tensor.data):08x}"


def _header_digest(header: bytes) -> str:
    return hashlib.blake2b(header, digest_size=8).hexdigest()
