"""Runs several tasks at once, each with its share of the threads for matrix products."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from contextvars import copy_context
from threading import Lock, RLock
from typing import TypeVar

from threadpoolctl import threadpool_info, threadpool_limits

Item = TypeVar("Item")
Result = TypeVar("Result")

# Limits hold for the whole process. If two callers set them at once, the one that ends last would
# restore the limit of the other.
_LIMITING = Lock()


def side_by_side(
    work: Callable[[Item], Result], items: Iterable[Item], *, at_once: int | None = None
) -> list[Result]:
    """Apply a function to several items at a time.

    Products of a few thousand rows are too small for several threads. On two threads they may take
    as long as on one, and several times as long if another process needs the cores. Only code that
    releases the interpreter lock gains, as products, sorting and reading do; SciPy's decompositions
    do not. While another call is running, items are processed one at a time.

    Parameters
    ----------
    work : callable
        Called from several threads, unless there is only one.
    items : iterable
        Only the caller's thread iterates over them, and no earlier than needed: one item waits
        while the others are processed.
    at_once : int, optional
        Upper limit, for work that takes much memory; 1 works in the caller's thread. Default: the
        number of threads for products.

    Returns
    -------
    list
        The results, in the order of the items.
    """
    n_threads = _product_threads()
    n_at_once = min(n_threads, at_once or n_threads)
    if n_at_once == 1:
        return list(map(work, items))
    with product_threads(n_threads // n_at_once) as limited:
        if not limited:
            return list(map(work, items))
        return _in_threads(work, items, n_at_once, n_threads // n_at_once)


def _in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], n_at_once: int, n_product_threads: int
) -> list[Result]:
    results: list[Result] = []
    running: deque[Future[Result]] = deque()
    # Some BLAS libraries have a limit for each calling thread.
    share = (n_product_threads, "blas")
    with ThreadPoolExecutor(n_at_once, initializer=threadpool_limits, initargs=share) as threads:
        try:
            for item in items:
                running.append(threads.submit(copy_context().run, work, item))
                if len(running) > n_at_once:
                    results.append(running.popleft().result())
            results.extend(future.result() for future in running)
        finally:
            for future in running:  # after a failure or Ctrl-C, waiting items are not started
                future.cancel()
    return results


@contextmanager
def product_threads(n_threads: int) -> Iterator[bool]:
    """Limit the threads for products, unless another caller has already limited them.

    Yields
    ------
    bool
        Whether this limit was set. With OpenBLAS, it holds in all threads of the process.
    """
    if not _LIMITING.acquire(blocking=False):
        yield False
        return
    try:
        with threadpool_limits(n_threads, user_api="blas"):
            yield True
    finally:
        _LIMITING.release()


def fork_safe_lock() -> AbstractContextManager[bool]:
    """Return a lock for which forks wait; in a forked process it is free.

    Otherwise a process forked while another thread holds the lock would wait for it for ever.
    """
    lock = RLock()  # a thread that forks while it holds the lock does not wait for itself
    if hasattr(os, "register_at_fork"):  # Windows has no fork
        os.register_at_fork(
            before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
        )
    return lock


def _product_threads() -> int:
    libraries = [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]
    return max(libraries, default=1)
