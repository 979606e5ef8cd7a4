"""Several pieces of work at once, each with its share of the threads that products have."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from threading import Lock
from typing import TypeVar

from threadpoolctl import threadpool_info, threadpool_limits

Item = TypeVar("Item")
Result = TypeVar("Result")

# Limits are the whole process's: of two that set them at once the last would restore the first's.
_LIMITING = Lock()


def side_by_side(
    work: Callable[[Item], Result], items: Iterable[Item], *, at_once: int | None = None
) -> list[Result]:
    """Do the same work on several items at a time.

    Products of a few thousand rows are too small to share: on two threads one may take as long as
    on one, and several times as long where something else needs the cores too. What runs meanwhile
    is what lets go of the interpreter, as products, sorting and reading do; SciPy's
    decompositions do not. While another caller is at it, work is done one item at a time.

    Parameters
    ----------
    work : callable
        Called from several threads, unless there is but one.
    items : iterable
        What to work on. They are asked for by the caller's thread alone, and no earlier than
        needed: one waits while the others are worked on.
    at_once : int, optional
        Upper limit, where each takes much memory; 1 works in the caller's thread. Default: as many
        as products have threads.

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
    under_way: deque[Future[Result]] = deque()
    # Some libraries of products take a limit of each thread that calls them.
    share = (n_product_threads, "blas")
    with ThreadPoolExecutor(n_at_once, initializer=threadpool_limits, initargs=share) as threads:
        try:
            for item in items:
                under_way.append(threads.submit(copy_context().run, work, item))
                if len(under_way) > n_at_once:
                    results.append(under_way.popleft().result())
            results.extend(future.result() for future in under_way)
        finally:
            for future in under_way:  # after a failure, or Ctrl-C, what waits is not begun
                future.cancel()
    return results


@contextmanager
def product_threads(n_threads: int) -> Iterator[bool]:
    """Let products run on so many threads, unless another caller has limited them already.

    Yields
    ------
    bool
        Whether it is this limit that holds; with OpenBLAS, wherever products are called.
    """
    if not _LIMITING.acquire(blocking=False):
        yield False
        return
    try:
        with threadpool_limits(n_threads, user_api="blas"):
            yield True
    finally:
        _LIMITING.release()


def _product_threads() -> int:
    libraries = [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]
    return max(libraries, default=1)
