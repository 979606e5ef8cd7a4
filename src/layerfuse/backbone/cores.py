"""``Cores``: runs batches in parallel, each on its own core.

If each product is split between cores, they wait for the slowest one hundreds of times a batch, and
all of them stall whenever another process needs a core. Whole batches in parallel never wait for
each other, and the data of a batch stays in the cache of its core.
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

from layerfuse.core.threads import fork_safe_lock

Work = TypeVar("Work")
Result = TypeVar("Result")

# torch keeps one number of threads for all threads that have not used it yet. While workers start,
# this is 1; a caller's thread that used torch for the first time then would keep 1 for good.
_STARTING = fork_safe_lock()


class Cores:
    """Threads that each run work on one core; started only when there are two items of work.

    Parameters
    ----------
    n_cores : int
        Number of threads; with 1, everything runs in the calling thread, with all torch threads.
    """

    def __init__(self, n_cores: int) -> None:
        self.n_cores = n_cores
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> "Cores":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def map(self, run: Callable[[Work], Result], works: Sequence[Work]) -> list[Result]:
        """Run all works, and return their results in order once all are done.

        Parameters
        ----------
        run : callable
            Called from several threads at once, unless there is only one core or one item.
        works : sequence
            Items of work, one per call.

        Returns
        -------
        list
            One result per item. An error is raised after all running calls have ended.
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
            self._pool.shutdown()  # waits, so that no call is still running afterwards
            self._pool = None
            raise


@cache
def use_one_core_if_forked() -> None:
    """Let torch use one core in processes that are forked from now on, as after loading a model.

    The threads that shared torch's work do not exist there, and torch would wait for them for ever.
    Workers of torch's own data loaders do the same.
    """
    if hasattr(os, "register_at_fork"):  # Windows has no fork
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def n_torch_threads() -> int:
    """Return the number of torch threads of this thread, also while others start ``Cores``."""
    with _STARTING:
        return torch.get_num_threads()


def _start(n_cores: int) -> ThreadPoolExecutor:
    """Start threads in which torch uses one core, without changing other threads."""
    all_started = threading.Barrier(n_cores + 1)

    def start() -> None:
        torch.get_num_threads()  # the first call initialises a thread; later it would undo the next
        torch.set_num_threads(1)
        all_started.wait()

    with _STARTING:
        n_before = torch.get_num_threads()
        pool = ThreadPoolExecutor(n_cores, thread_name_prefix="layerfuse")
        for _ in range(n_cores):
            pool.submit(start)
        all_started.wait()
        torch.set_num_threads(n_before)  # each thread has its own; new threads get the last one
    return pool
