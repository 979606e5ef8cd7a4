"""The only place that knows transformers: load, tokenise, batch, listen, pool, cut."""

from layerfuse.backbone.again import load_again
from layerfuse.backbone.backbone import Backbone
from layerfuse.backbone.kernels import fastest_kernel, gemm_gflops
from layerfuse.backbone.packaged import fetch_packaged
from layerfuse.backbone.packaged_models import (
    PACKAGED_MODELS,
    PackagedModel,
    is_fetched,
    packaged_folder,
)

__all__ = [
    "PACKAGED_MODELS",
    "Backbone",
    "PackagedModel",
    "fastest_kernel",
    "fetch_packaged",
    "gemm_gflops",
    "is_fetched",
    "load_again",
    "packaged_folder",
]
