"""``Overhead``: what something cost, measured."""

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
        Texts the work went over, 0 if it was not about texts.
    n_parameters : int
        Parameters of the backbones that stay in use, 0 if not known.
    disk_bytes : int
        Bytes written or kept on disk, 0 if none.
    kernel : str
        What multiplies the matrices of the backbones on this machine when many tokens run; empty
        if not known.
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
