"""side_by_side: several items at a time, read by one thread, which share the product threads."""

import multiprocessing
import os
import signal
import threading
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from layerfuse.core.threads import fork_safe_lock, product_threads, side_by_side


def threads_of_products():
    return {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}


@pytest.fixture(params=[2, 4])
def n_threads(request):
    with threadpool_limits(request.param, user_api="blas"):
        yield request.param


@pytest.fixture
def two_threads():
    with threadpool_limits(2, user_api="blas"):
        yield


def test_two_at_a_time_share_the_threads(n_threads):
    both = threading.Barrier(2, timeout=20)
    inside = set()

    def work(item):
        both.wait()  # breaks unless two are under way
        inside.update(threads_of_products())
        return -item

    assert side_by_side(work, range(6), at_once=2) == [0, -1, -2, -3, -4, -5]
    assert inside == {n_threads // 2}
    assert threads_of_products() == {n_threads}


def test_results_stand_in_the_order_of_the_items_whichever_is_done_first(two_threads):
    last = threading.Event()

    def work(item):
        if item == 0:
            assert last.wait(20)
        elif item == 1:
            last.set()
        return item

    assert side_by_side(work, range(5)) == [0, 1, 2, 3, 4]


def test_items_are_read_by_the_caller_and_no_earlier_than_needed(two_threads):
    read, done, ahead, readers = [], [], [], set()

    def items():
        for i in range(20):
            readers.add(threading.get_ident())
            ahead.append(len(read) - len(done))
            read.append(i)
            yield i

    side_by_side(done.append, items())
    assert readers == {threading.get_ident()}
    assert max(ahead) <= 2  # besides the one just read
    assert sorted(done) == list(range(20))


@pytest.mark.parametrize("at_once", [1, None])
def test_one_at_a_time_needs_no_thread_and_keeps_its_products_threads(at_once):
    n_threads = 2 if at_once else 1
    with threadpool_limits(n_threads, user_api="blas"):
        inside = side_by_side(
            lambda _: (threading.get_ident(), *threads_of_products()), range(3), at_once=at_once
        )
    assert set(inside) == {(threading.get_ident(), n_threads)}


def test_what_fails_says_so_and_gives_the_threads_back(two_threads):
    def work(item):
        return 1 / (item - 1)

    with pytest.raises(ZeroDivisionError):
        side_by_side(work, range(4))
    assert threads_of_products() == {2}

    def items():
        yield 2
        raise KeyError("unreadable")

    with pytest.raises(KeyError, match="unreadable"):
        side_by_side(work, items())
    assert threads_of_products() == {2}


def test_nothing_gives_nothing(two_threads):
    assert side_by_side(abs, []) == []


def test_products_may_have_one_thread_for_a_while(two_threads):
    with product_threads(1):
        assert threads_of_products() == {1}
    assert threads_of_products() == {2}


def test_of_two_callers_at_once_the_second_works_alone_and_both_give_the_threads_back():
    """Otherwise each would restore the limit of the other."""
    begun, done, seconds = threading.Event(), threading.Event(), []

    def work(item):
        begun.set()
        assert done.wait(20)
        return item

    def second():
        assert begun.wait(20)
        found = side_by_side(lambda item: (item, threading.get_ident()), range(3))
        seconds.extend(found)
        with product_threads(1) as limited:
            seconds.append(limited)
        done.set()

    with threadpool_limits(4, user_api="blas"):
        other = threading.Thread(target=second)
        other.start()
        assert side_by_side(work, range(4), at_once=2) == [0, 1, 2, 3]
        other.join(20)
        assert threads_of_products() == {4}
    assert seconds == [(0, other.ident), (1, other.ident), (2, other.ident), False]


def test_settings_of_the_caller_hold_in_the_threads(two_threads):
    with np.errstate(divide="raise"):
        assert {np.geterr()["divide"]} == set(
            side_by_side(lambda _: np.geterr()["divide"], range(4))
        )


def test_what_waits_is_not_begun_once_the_caller_is_interrupted(two_threads):
    """Simulates Ctrl-C while two items are processed and one waits."""
    begun, waiting = [], threading.Event()

    def interrupt(number, frame):
        raise InterruptedError

    def items():
        yield from (0, 1)
        waiting.set()
        yield 2

    def work(item):
        begun.append(item)
        if item == 0:
            assert waiting.wait(20)
            time.sleep(0.1)  # for the caller to wait for this result
            os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.2)

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(InterruptedError):
            side_by_side(work, items())
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert sorted(begun) == [0, 1]
    assert threads_of_products() == {2}


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # Python 3.12 warns of forks
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_lock_that_another_thread_holds_is_free_in_a_forked_process():
    lock, held = fork_safe_lock(), threading.Event()

    def hold():
        with lock:
            held.set()
            time.sleep(0.2)

    def use():
        with lock:
            pass

    other = threading.Thread(target=hold)
    other.start()
    assert held.wait(timeout=10)
    forked = multiprocessing.get_context("fork").Process(target=use)
    forked.start()
    forked.join(30)
    forked.kill()  # if it waits for a thread that it does not have
    other.join()
    assert forked.exitcode == 0
    use()
