"""Meter sees time and memory of its block, the peak included that is gone at the end."""

import time

import numpy as np
import pytest

from layerfuse.core.overhead import Overhead
from layerfuse.meter import Meter

MEGABYTE = 1_000_000


def hold(megabytes, seconds):
    block = np.ones(megabytes * MEGABYTE, dtype=np.uint8)
    time.sleep(seconds)
    return int(block[-1])


def fail_after(seconds):
    time.sleep(seconds)
    raise KeyError("nothing")


def test_sees_memory_that_is_given_back_before_the_end():
    with Meter() as meter:
        hold(100, 0.2)
    overhead = meter.overhead()
    assert overhead.extra_memory_bytes == pytest.approx(100 * MEGABYTE, rel=0.2)
    assert overhead.peak_memory_bytes > overhead.extra_memory_bytes


def test_sees_no_memory_where_none_is_taken():
    with Meter() as meter:
        time.sleep(0.05)
    assert 0 <= meter.overhead().extra_memory_bytes < 10 * MEGABYTE


def test_memory_held_before_is_not_counted():
    held = np.ones(50 * MEGABYTE, dtype=np.uint8)
    with Meter() as meter:
        hold(100, 0.2)
    assert held[-1] == 1
    assert meter.overhead().extra_memory_bytes == pytest.approx(100 * MEGABYTE, rel=0.2)


def test_wall_time_of_a_sleep():
    with Meter() as meter:
        time.sleep(0.2)
    assert 0.2 <= meter.overhead().wall_seconds < 0.6


def test_can_be_used_again():
    meter = Meter()
    with meter:
        hold(100, 0.2)
    with meter:
        time.sleep(0.02)
    overhead = meter.overhead()
    assert overhead.extra_memory_bytes < 10 * MEGABYTE
    assert overhead.wall_seconds < 0.2


def test_measures_what_failed_and_lets_the_error_out():
    meter = Meter()
    with pytest.raises(KeyError, match="nothing"), meter:
        fail_after(0.02)
    assert meter.overhead().wall_seconds >= 0.02


def test_counts_of_the_caller_and_the_device_are_passed_on():
    asked = []

    def device_memory_bytes():
        asked.append(1)
        return 7

    with Meter(device_memory_bytes=device_memory_bytes) as meter:
        assert not asked
    overhead = meter.overhead(n_texts=3, n_parameters=4, disk_bytes=5)
    assert len(asked) == 1
    assert overhead == Overhead(
        overhead.wall_seconds,
        overhead.peak_memory_bytes,
        overhead.extra_memory_bytes,
        device_memory_bytes=7,
        n_texts=3,
        n_parameters=4,
        disk_bytes=5,
    )
