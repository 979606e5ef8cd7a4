"""``BackboneSpec``: every setting that changes the outputs of a backbone."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal, get_args

from layerfuse.core.errors import ShapeError, check_option
from layerfuse.core.layers import POOLINGS, LayerRef, Pooling

Dtype = Literal["float32", "bfloat16"]
DTYPES: tuple[Dtype, ...] = get_args(Dtype)

EXTRACTION_VERSION = 1
"""Increased whenever extraction changes the outputs of a spec, so that old cache entries miss."""

_OPTIONAL = frozenset({"blocks", "code"})


@dataclass(frozen=True, slots=True)
class BackboneSpec:
    """Identity of a backbone's outputs; its fingerprint is the cache key.

    Parameters
    ----------
    name : str
        Name for users. Not part of the fingerprint.
    weights : str
        Resolved revision (``hub:repo@commit``) or digest of the weight files (``sha256:...``).
    tokenizer : str
        Digest of the tokenizer's own serialised state.
    n_layers : int
        Number of blocks; layers run from 0 (embeddings) to n_layers.
    hidden_size : int
        Width of every layer.
    poolings : tuple of Pooling
        Poolings of each layer, in order.
    max_tokens : int
        Longer texts are truncated to this many tokens, special tokens included.
    dtype : Dtype
        Precision of the weights and of the forward pass. Pooled values are always float32.
    prompt : str
        Put before every text, or around it if it contains ``{text}``.
    skip_first_token : bool
        Leave the first token out of mean, weighted_mean and max.
    extraction_version : int
        Version of the extraction code.
    blocks : str
        Path of the block list, if the user named another than the one found automatically; else
        empty.
    code : str
        Digest of the Python code that came with the weights and was run, if any.
    """

    name: str
    weights: str
    tokenizer: str
    n_layers: int
    hidden_size: int
    poolings: tuple[Pooling, ...]
    max_tokens: int
    dtype: Dtype = "float32"
    prompt: str = ""
    skip_first_token: bool = False
    extraction_version: int = EXTRACTION_VERSION
    blocks: str = ""
    code: str = ""

    def __post_init__(self) -> None:
        """Validate."""
        if not self.poolings or len(set(self.poolings)) != len(self.poolings):
            msg = f"pooling={self.poolings!r}: expected at least one pooling, none twice."
            raise ShapeError(msg)
        for pooling in self.poolings:
            check_option("pooling", pooling, POOLINGS)
        check_option("dtype", self.dtype, DTYPES)
        if self.max_tokens < 1:
            msg = f"max_tokens={self.max_tokens}: expected at least 1."
            raise ShapeError(msg)

    @property
    def fingerprint(self) -> str:
        """Digest of all fields except the name, 32 hex digits."""
        fields = self.to_dict()
        del fields["name"]
        canonical = json.dumps(fields, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:32]

    def refs(self) -> tuple[LayerRef, ...]:
        """Return every layer under every pooling, layer by layer."""
        return tuple(
            LayerRef(self.name, layer, pooling)
            for layer in range(self.n_layers + 1)
            for pooling in self.poolings
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; empty optional fields are left out to keep old cache keys."""
        fields = {**dataclasses.asdict(self), "poolings": list(self.poolings)}
        return {name: value for name, value in fields.items() if value or name not in _OPTIONAL}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "BackboneSpec":
        """Rebuild from ``to_dict``."""
        return cls(**{**fields, "poolings": tuple(fields["poolings"])})
