"""Feature blocks that are read one at a time, because together they do not fit into memory."""

from collections.abc import Callable, Iterator, Sequence
from typing import overload

from layerfuse.core.arrays import Block


class StreamedBlocks(Sequence[Block]):
    """Blocks of the same texts, each read whenever it is used.

    Parameters
    ----------
    readers : sequence of callable
        Each returns the (text, feature) matrix of one block.
    """

    def __init__(self, readers: Sequence[Callable[[], Block]]) -> None:
        self._readers = tuple(readers)

    def __len__(self) -> int:
        """Return the number of blocks."""
        return len(self._readers)

    @overload
    def __getitem__(self, index: int) -> Block: ...
    @overload
    def __getitem__(self, index: slice) -> "StreamedBlocks": ...
    def __getitem__(self, index: int | slice) -> "Block | StreamedBlocks":
        """Read one block, or slice without reading."""
        if isinstance(index, slice):
            return StreamedBlocks(self._readers[index])
        return self._readers[index]()

    def __iter__(self) -> Iterator[Block]:
        """Read the blocks one after another."""
        return (read() for read in self._readers)
