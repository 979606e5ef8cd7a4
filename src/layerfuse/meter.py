"""``Meter``: measures wall time and peak memory of a block of code."""

import threading
import time
from collections.abc import Callable

import psutil

from layerfuse.core.overhead import Overhead


class Meter:
    """Context manager that measures the code in its block.

    A thread samples resident memory, because the system's high-water mark covers the whole life of
    the process. A peak shorter than the interval can be missed.

    Parameters
    ----------
    interval_seconds : float
        Time between two samples of the memory.
    device_memory_bytes : callable, optional
        Returns the peak memory of an accelerator so far; called once, by ``overhead``.

    Examples
    --------
    >>> with Meter() as meter:
    ...     _ = sum(range(1000))
    >>> meter.overhead().wall_seconds >= 0
    True
    """

    def __init__(
        self,
        interval_seconds: float = 0.01,
        device_memory_bytes: Callable[[], int] | None = None,
    ) -> None:
        self.interval_seconds = interval_seconds
        self.device_memory_bytes = device_memory_bytes
        self._process = psutil.Process()
        self._stop = threading.Event()
        self._started = self._ended = 0.0
        self._before = self._peak = 0

    def __enter__(self) -> "Meter":
        self._before = self._peak = self._process.memory_info().rss
        self._stop.clear()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        self._started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = time.perf_counter()
        self._stop.set()
        self._thread.join()
        self._peak = max(self._peak, self._process.memory_info().rss)

    def _sample(self) -> None:
        while not self._stop.wait(self.interval_seconds):
            self._peak = max(self._peak, self._process.memory_info().rss)

    def overhead(
        self, *, n_texts: int = 0, n_parameters: int = 0, disk_bytes: int = 0, kernel: str = ""
    ) -> Overhead:
        """Return the measurement, together with numbers that only the caller knows.

        Parameters
        ----------
        n_texts : int
            Number of texts that were processed.
        n_parameters : int
            Number of parameters in use.
        disk_bytes : int
            Bytes kept on disk.
        kernel : str
            Kernel of the matrix products.

        Returns
        -------
        Overhead
            The measurement.
        """
        return Overhead(
            wall_seconds=self._ended - self._started,
            peak_memory_bytes=self._peak,
            extra_memory_bytes=self._peak - self._before,
            device_memory_bytes=self.device_memory_bytes() if self.device_memory_bytes else 0,
            n_texts=n_texts,
            n_parameters=n_parameters,
            disk_bytes=disk_bytes,
            kernel=kernel,
        )
