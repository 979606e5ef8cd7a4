"""A saved classifier as a folder of JSON, safetensors and markdown; no pickle."""

from layerfuse.bundle.card import model_card
from layerfuse.bundle.folder import (
    FORMAT_VERSION,
    Bundle,
    check_place,
    read_bundle,
    read_config,
    with_prefix,
    write_bundle,
)
from layerfuse.bundle.steady import read_steady

__all__ = [
    "FORMAT_VERSION",
    "Bundle",
    "check_place",
    "model_card",
    "read_bundle",
    "read_config",
    "read_steady",
    "with_prefix",
    "write_bundle",
]
