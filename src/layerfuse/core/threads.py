"""Several pieces of work at once, each with its share of the threads that products have."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from threadpoolctl import threadpool_info, threadpool_limits

Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(
    work: Callable[[Item], Result], items: Iterable[Item], *, at_once: int | None = None
) -> list[Result]:
    """Do the same work on several items at a time.

    Products and decompositions of a few thousand rows are too small to share: on two threads one
    may take as long as on one, and several times as long where something else needs the cores too.

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
        return [work(item) for item in items]
    results: list[Result] = []
    under_way: deque[Future[Result]] = deque()
    with product_threads(n_threads // n_at_once), ThreadPoolExecutor(n_at_once) as threads:
        for item in items:
            under_way.append(threads.submit(work, item))
            if len(under_way) > n_at_once:
                results.append(under_way.popleft().result())
        results.extend(future.result() for future in under_way)
    return results


@contextmanager
def product_threads(n_threads: int) -> Iterator[None]:
    """Let products run on so many threads, in all threads that call them."""
    with threadpool_limits(n_threads, user_api="blas"):
        yield


def _product_threads() -> int:
    libraries = [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]
    return max(libraries, default=1)
