"""What the doctor advises follows from the facts, and the facts are those of this machine."""

import copy
import os
import re
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch

from layerfuse.report import machine
from layerfuse.report.machine import advise, examine_machine

HEALTHY = {
    "processor": {"cores": 4},
    "kernels": {"float32_gflops": 400, "bfloat16_gflops": 420},
    "threads": {"torch": 4, "omp_num_threads": None, "omp_wait_policy": None, "load": 0.1},
    "memory": {"available_bytes": 2**34},
    "cache": {"folder": "/cache", "writable": True, "free_bytes": 2**35},
    "gpu": {"driver": False, "devices": []},
    "network": {"hub": True, "package_index": True},
}


def test_a_healthy_machine_gets_no_advice():
    assert advise(HEALTHY) == ()


@pytest.mark.parametrize(
    ("section", "changed", "words"),
    [
        ("threads", {"omp_num_threads": "many"}, "OMP_NUM_THREADS='many' is not a number"),
        ("threads", {"omp_num_threads": "0"}, "unset it"),
        ("threads", {"omp_num_threads": "-3"}, "unset it"),
        ("threads", {"torch": 64}, "64 threads on 4 cores: set OMP_NUM_THREADS=4"),
        ("threads", {"load": 3.0}, "OMP_WAIT_POLICY=passive"),
        ("kernels", {"bfloat16_gflops": 1000}, "2.5 times as fast here: try --dtype bfloat16"),
        ("kernels", {"bfloat16_gflops": 100}, "Stay with float32: .* 0.25 times"),
        ("memory", {"available_bytes": 2**30}, "Less than 2 GiB of memory"),
        ("cache", {"writable": False}, "/cache cannot be written: set LAYERFUSE_CACHE"),
        ("cache", {"free_bytes": 2**20}, "layerfuse cache prune"),
        # Without a name or option, prune removes only the remains of killed runs.
        ("cache", {"free_bytes": 2**20}, "prune with a backbone, --older-than-days or --all"),
        ("gpu", {"driver": True}, "install a CUDA build"),
        ("network", {"hub": False}, r"local folders, or packaged models \(layerfuse models\)"),
        ("network", {"hub": False, "package_index": False}, "use local folders.$"),
    ],
)
def test_each_problem_gets_one_piece_of_advice(section, changed, words):
    facts = copy.deepcopy(HEALTHY)
    facts[section].update(changed)
    (advice,) = advise(facts)
    assert re.search(words, advice)


@pytest.mark.parametrize(
    ("section", "changed"),
    [
        ("threads", {"load": 3.0, "omp_wait_policy": "passive"}),
        ("gpu", {"driver": True, "devices": ["H100"]}),
        ("network", {"hub": None, "package_index": None}),
    ],
)
def test_solved_and_unknown_problems_get_no_advice(section, changed):
    facts = copy.deepcopy(HEALTHY)
    facts[section].update(changed)
    assert advise(facts) == ()


def test_facts_are_those_of_this_machine(cache_folder):
    facts = examine_machine(network=False).facts
    assert facts["versions"]["numpy"] == np.__version__
    assert facts["threads"]["torch"] == torch.get_num_threads()
    assert facts["threads"]["omp_num_threads"] == os.environ.get("OMP_NUM_THREADS")
    assert facts["memory"]["total_bytes"] == psutil.virtual_memory().total
    assert facts["cache"]["folder"] == str(cache_folder)
    assert facts["cache"]["embeddings_bytes"] == 0
    assert facts["kernels"]["float32_gflops"] > 0
    assert facts["network"] == {"hub": None, "package_index": None}


@pytest.mark.parametrize(
    "error", [OSError("no route"), pytest.param(RuntimeError("closed"), id="runtime")]
)
def test_a_hub_that_does_not_answer_is_out_of_reach(monkeypatch, error):
    class Session:
        def head(self, *_arguments, **_options):
            raise error

    monkeypatch.setattr(machine.huggingface_hub.utils, "get_session", Session)
    monkeypatch.setattr(machine, "_reaches_index", lambda: True)
    assert machine._network() == {"hub": False, "package_index": True}


@pytest.mark.parametrize(("status", "reached"), [(200, True), (307, True), (403, False)])
def test_a_hub_is_in_reach_if_it_answers_and_no_proxy_refuses(monkeypatch, status, reached):
    class Session:
        def head(self, *_arguments, **_options):
            return SimpleNamespace(status_code=status)

    monkeypatch.setattr(machine.huggingface_hub.utils, "get_session", Session)
    assert machine._reaches_hub() == reached
