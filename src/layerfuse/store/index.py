"""``EntryIndex``: an index in memory of the shards of one entry, refreshed by file name."""

import contextlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from layerfuse.core.arrays import Digests, LayerArray
from layerfuse.core.errors import StoreError
from layerfuse.store.digests import DigestLookup
from layerfuse.store.files import listing
from layerfuse.store.shards import DAMAGED, SHARD, Shard, ShardDamagedError, open_shard


def shard_paths(folder: Path) -> list[Path]:
    """Return the shards of an entry by name; empty if there is no such folder.

    Raises
    ------
    StoreError
        If the folder cannot be read.
    """
    return [path for path in listing(folder) if path.suffix == SHARD]


def set_aside(path: Path) -> None:
    """Rename a damaged shard so that it is not read again; ``prune`` removes it."""
    with contextlib.suppress(OSError):  # the folder may be read-only or gone
        path.replace(path.with_name(path.name + DAMAGED))


class _Piece(NamedTuple):
    """The part of an array that is read from one shard."""

    shard: Shard
    rows: list[int]
    texts: np.ndarray
    positions: np.ndarray


class EntryIndex:
    """Index of the texts in the shards of one entry.

    Parameters
    ----------
    folder : Path
        Folder of the entry.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shards: dict[str, Shard] = {}
        self._damaged: set[str] = set()
        self._lookups: dict[tuple[str, ...], DigestLookup] = {}

    def refresh(self) -> list[Shard]:
        """Open new shards, forget removed ones, and return all."""
        paths = {path.name: path for path in shard_paths(self.folder)}
        gone = self._shards.keys() - paths.keys()
        new = paths.keys() - self._shards.keys() - self._damaged
        if gone or new:
            self._lookups.clear()
        for name in gone:
            del self._shards[name]
        for name in sorted(new):
            try:
                self._shards[name] = open_shard(paths[name])
            except FileNotFoundError:  # pruned since the listing
                continue
            except ShardDamagedError as damage:
                self._drop(damage)
        return list(self._shards.values())

    def missing(self, keys: Sequence[str], digests: Digests) -> list[int]:
        """Return the first position of each text that lacks any of the rows."""
        self.refresh()
        absent = np.zeros(len(digests), dtype=bool)
        for holders in self._holders(keys):
            absent |= self._lookup(holders).find(digests)[0] < 0
        _, first = np.unique(digests, return_index=True)
        return [int(position) for position in np.sort(first[absent[first]])]

    def read(self, keys: Sequence[str], digests: Digests, out: LayerArray) -> None:
        """Fill ``out`` with the rows of the texts.

        Raises
        ------
        StoreError
            If a text lacks a row, also because its shard was found damaged.
        """
        filled = [False]
        while not all(filled):  # ends, because the next plan lacks damaged or pruned shards
            pieces = self._plan(keys, digests)
            filled = [self._fill(piece, keys, out) for piece in pieces]

    def disk_bytes(self, digests: Digests) -> int:
        """Return the sum of shard sizes, each times the share of its texts that are among these."""
        lookup = DigestLookup([digests])
        total = 0.0
        for shard in self.refresh():
            share = float((lookup.find(shard.digests)[0] >= 0).mean())
            with contextlib.suppress(FileNotFoundError):  # pruned since the listing
                total += share * shard.path.stat().st_size
        return round(total)

    def _plan(self, keys: Sequence[str], digests: Digests) -> list[_Piece]:
        self.refresh()
        pieces = []
        for holders, rows in self._holders(keys).items():
            numbers, positions = self._lookup(holders).find(digests)
            absent = np.flatnonzero(numbers < 0)
            if len(absent):
                msg = (
                    f"Expected {len(digests)} texts in {self.folder}, but {len(absent)} of them "
                    f"lack layer {keys[rows[0]]}, the first at position {absent[0]}. "
                    "Embed the texts that missing() returns, and add them with writer()."
                )
                raise StoreError(msg)
            for number in np.unique(numbers):
                texts = np.flatnonzero(numbers == number)
                shard = self._shards[holders[number]]
                pieces.append(_Piece(shard, rows, texts, positions[texts]))
        return pieces

    def _fill(self, piece: _Piece, keys: Sequence[str], out: LayerArray) -> bool:
        """Read the part of one shard, tensor by tensor; return whether the shard was intact."""
        try:
            matrices = piece.shard.read([keys[row] for row in piece.rows])
            for row, matrix in zip(piece.rows, matrices, strict=True):
                out[row, piece.texts] = matrix[piece.positions]
        except FileNotFoundError:  # pruned since it was opened
            self._forget(piece.shard.path.name)
            return False
        except ShardDamagedError as damage:
            self._drop(damage)
            return False
        return True

    def _holders(self, keys: Sequence[str]) -> dict[tuple[str, ...], list[int]]:
        """Group rows that are in the same shards, so that each group needs a single lookup."""
        groups: dict[tuple[str, ...], list[int]] = {}
        for row, key in enumerate(keys):
            holders = tuple(name for name, shard in self._shards.items() if key in shard.rows)
            groups.setdefault(holders, []).append(row)
        return groups

    def _lookup(self, holders: tuple[str, ...]) -> DigestLookup:
        if holders not in self._lookups:
            self._lookups[holders] = DigestLookup([self._shards[name].digests for name in holders])
        return self._lookups[holders]

    def _drop(self, damage: ShardDamagedError) -> None:
        """Forget a damaged shard, with one warning."""
        name = damage.path.name
        if name in self._damaged:
            return
        self._damaged.add(name)
        self._forget(name)
        set_aside(damage.path)
        warnings.warn(f"{damage} Its texts will be embedded again.", stacklevel=2)

    def _forget(self, name: str) -> None:
        self._shards.pop(name, None)
        self._lookups.clear()
