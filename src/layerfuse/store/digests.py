"""Texts as 16-byte digests, and a lookup of digests in lists."""

import hashlib
from collections.abc import Sequence

import numpy as np

from layerfuse.core.arrays import Digests
from layerfuse.core.errors import ShapeError

DIGEST_BYTES = 16

Texts = Sequence[str] | Digests
"""Texts, or their digests if already computed."""


def text_digest(text: str) -> bytes:
    """Return the 16-byte digest under which a text is stored.

    Lone surrogates, which real files contain, are digested like any other character.

    Examples
    --------
    >>> text_digest("a fine film").hex()
    '0d83ece93dbbe2d858bc9d593d573bb7'
    """
    encoded = text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(encoded, digest_size=DIGEST_BYTES).digest()


def as_digests(texts: Texts) -> Digests:
    """Digest texts; digests pass through.

    Parameters
    ----------
    texts : sequence of str, or array of dtype ``S16`` or ``V16``
        Texts or digests.

    Returns
    -------
    array of shape (text,)
        Dtype ``S16``. Comparing its elements is exact; ``tolist`` would drop trailing zero bytes.

    Raises
    ------
    ShapeError
        If an array of bytes does not hold 16 of them per text.
    """
    if not isinstance(texts, np.ndarray) or texts.dtype.kind not in "SV":
        return np.frombuffer(b"".join(map(text_digest, texts)), f"S{DIGEST_BYTES}")
    if texts.dtype.itemsize != DIGEST_BYTES:
        msg = f"Expected texts or digests of dtype S16, got {texts.dtype}. Use text_digest()."
        raise ShapeError(msg)
    return np.ascontiguousarray(texts).view(f"S{DIGEST_BYTES}")


class DigestLookup:
    """Finds digests in several lists, sorted once, by binary search.

    Parameters
    ----------
    lists : sequence of arrays of dtype ``S16``
        Such as the digests of each shard; their lengths may differ.
    """

    def __init__(self, lists: Sequence[np.ndarray]) -> None:
        self._starts = np.cumsum([0, *(len(digests) for digests in lists)])
        joined = np.concatenate([np.empty(0, f"S{DIGEST_BYTES}"), *lists])
        self._order = np.argsort(joined, kind="stable")
        self._sorted = joined[self._order]

    @property
    def n_distinct(self) -> int:
        """Number of distinct digests."""
        return len(np.unique(self._sorted))

    def find(self, digests: Digests) -> tuple[np.ndarray, np.ndarray]:
        """Return which list holds each digest (-1 for none) and at which position."""
        if not len(self._sorted):
            nowhere = np.full(len(digests), -1)
            return nowhere, nowhere
        nearest = np.searchsorted(self._sorted, digests).clip(max=len(self._sorted) - 1)
        places = self._order[nearest]
        numbers = np.searchsorted(self._starts, places, side="right") - 1
        found = self._sorted[nearest] == digests
        return np.where(found, numbers, -1), places - self._starts[numbers]
