"""Feature blocks of a selection, read from stored embeddings or embedded in batches."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

from tqdm import tqdm

from layerfuse.backbone import Backbone
from layerfuse.core.arrays import Block
from layerfuse.core.blocks import StreamedBlocks
from layerfuse.core.layers import LayerRef, LayerRows
from layerfuse.core.selection import Selection

_TEXTS = 1024  # per batch, so that memory does not grow with the number of texts


IN_MEMORY_BYTES = 2 * 2**30
"""Blocks with a larger sum are streamed: read one at a time, several times."""


def read_blocks(
    stored: Sequence[LayerRows], refs: Iterable[LayerRef], *, in_memory_bytes: int = IN_MEMORY_BYTES
) -> Sequence[Block]:
    """Return a (text, hidden) matrix of stored embeddings per layer.

    Parameters
    ----------
    stored : sequence of LayerRows
        One per backbone.
    refs : iterable of LayerRef
        The layers.
    in_memory_bytes : int
        Memory limit. If the matrices together exceed it, each is read when it is used.
    """
    by_name = {embeddings.backbone: embeddings for embeddings in stored}
    readers = [partial(by_name[ref.backbone].row, ref) for ref in refs]
    held: list[Block] = []
    for read in readers:
        held.append(read())
        if sum(block.nbytes for block in held) > in_memory_bytes:
            return StreamedBlocks(readers)
    return held


def stream_blocks(
    texts: list[str], backbones: Mapping[str, Backbone], selection: Selection, *, progress: bool
) -> Iterator[tuple[list[str], list[Block]]]:
    """Embed texts in batches, and yield each with a (text, hidden) matrix per selected layer.

    Parameters
    ----------
    texts : list of str
        Any number of texts.
    backbones : mapping of str to Backbone
        The backbones of the selection, by name.
    selection : Selection
        The layers.
    progress : bool
        Show a bar if standard error is a terminal.
    """
    hidden = None if progress else True
    with tqdm(total=len(texts), unit="text", disable=hidden, leave=False) as bar:
        for start in range(0, len(texts), _TEXTS):
            part = texts[start : start + _TEXTS]
            rows: dict[LayerRef, Block] = {}
            for name, backbone in backbones.items():
                refs = tuple(ref for ref in selection if ref.backbone == name)
                embedded = backbone.embed_refs(part, refs, progress=False)
                rows |= {ref: embedded.row(ref) for ref in refs}
            yield part, [rows[ref] for ref in selection]
            bar.update(len(part))
