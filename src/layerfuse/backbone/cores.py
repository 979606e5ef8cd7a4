"""``Cores``: batches side by side, each on one core of its own.

A product split between cores is done when the last of them is, hundreds of times a batch, and the
cores wait for each other in loops that stand still whenever something else needs one. Whole batches
side by side never wait, and what a batch computes stays in the cache of its core.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

import torch

Work = TypeVar("Work")
Result = TypeVar("Result")


class Cores:
    """Threads that each run work on one core; none before there is work for two.

    Parameters
    ----------
    n_cores : int
        How many; 1 runs everything in the calling thread, with all the threads of torch.
    """

    def __init__(self, n_cores: int) -> None:
        self.n_cores = n_cores
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> "Cores":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def map(self, run: Callable[[Work], Result], works: Sequence[Work]) -> list[Result]:
        """Run all works, and return their results in order once all are done.

        Parameters
        ----------
        run : callable
            Called from several threads at once, unless there is but one core or one work.
        works : sequence
            Each is one call.

        Returns
        -------
        list
            One result per work. An error of one is raised when all that had started are done.
        """
        if self.n_cores == 1 or len(works) <= 1:
            return [run(work) for work in works]
        if self._pool is None:
            self._pool = _start(self.n_cores)
        futures = [self._pool.submit(run, work) for work in works]
        try:
            return [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            self._pool.shutdown()  # who comes next must not meet one still running
            self._pool = None
            raise


def _start(n_cores: int) -> ThreadPoolExecutor:
    """Start threads for each of which torch runs on one core, and leave all others as they were."""
    n_before = torch.get_num_threads()
    all_started = threading.Barrier(n_cores + 1)

    def start() -> None:
        torch.get_num_threads()  # torch sets up a thread when first asked, and would undo the next
        torch.set_num_threads(1)
        all_started.wait()

    pool = ThreadPoolExecutor(n_cores, thread_name_prefix="layerfuse")
    for _ in range(n_cores):
        pool.submit(start)
    all_started.wait()
    torch.set_num_threads(n_before)  # the number is each thread's own, but new threads get the last
    return pool
