"""A saved classifier as a folder of JSON, safetensors and markdown; no pickle."""

from layerfuse.bundle.card import Card, model_card
from layerfuse.bundle.folder import FORMAT_VERSION, Bundle, read_bundle, with_prefix, write_bundle

__all__ = [
    "FORMAT_VERSION",
    "Bundle",
    "Card",
    "model_card",
    "read_bundle",
    "with_prefix",
    "write_bundle",
]
