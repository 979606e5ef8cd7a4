"""``Overhead``: the measured cost of a piece of work."""

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Overhead:
    """Measured cost of a piece of work.

    Parameters
    ----------
    wall_seconds : float
        Elapsed time.
    peak_memory_bytes : int
        Highest resident memory of the process during the work.
    extra_memory_bytes : int
        That peak minus the resident memory when the work began.
    device_memory_bytes : int
        Highest memory allocated on the accelerator, 0 without one.
    n_texts : int
        Number of texts processed, 0 if the work was not about texts.
    n_parameters : int
        Number of backbone parameters that stay in use, 0 if unknown.
    disk_bytes : int
        Bytes written to or kept on disk, 0 if none.
    kernel : str
        Kernel of the backbones' matrix products on this machine for large batches; empty if
        unknown.
    """

    wall_seconds: float
    peak_memory_bytes: int
    extra_memory_bytes: int = 0
    device_memory_bytes: int = 0
    n_texts: int = 0
    n_parameters: int = 0
    disk_bytes: int = 0
    kernel: str = ""

    def to_dict(self) -> dict[str, float | int | str]:
        """Return plain JSON types."""
        return dataclasses.asdict(self)
