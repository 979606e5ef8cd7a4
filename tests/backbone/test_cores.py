"""Parallel batches: the same layers, every text once, and threads restored."""

import multiprocessing
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import transformers as tf

from layerfuse import Backbone
from layerfuse.backbone.cores import Cores
from layerfuse.backbone.tap import LayerTap
from layerfuse.backbone.tokens import TokenizedTexts


@pytest.fixture
def two_cores():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def many_texts(tiny):
    words = " ".join(tiny.texts).split()
    return [" ".join(words[i : i + 1 + i % 9]) for i in range(30)] * 2 + [f"w{i}" for i in range(9)]


def in_new_thread(run):
    found = []
    thread = threading.Thread(target=lambda: found.append(run()))
    thread.start()
    thread.join()
    return found[0]


def test_results_keep_their_order_whichever_thread_ends_first():
    with Cores(3) as cores:
        got = cores.map(lambda i: (time.sleep(0.01 * (i % 3)), i * i)[1], range(20))
    assert got == [i * i for i in range(20)]


@pytest.mark.usefixtures("two_cores")
def test_each_worker_runs_on_one_core_and_other_threads_keep_theirs():
    together = threading.Barrier(2, timeout=10)  # passes only if two are here at once

    def run(_):
        together.wait()
        return torch.get_num_threads(), threading.current_thread().name

    with Cores(2) as cores:
        got = cores.map(run, range(4))
        assert {n for n, _ in got} == {1}
        assert torch.get_num_threads() == 2
        assert in_new_thread(torch.get_num_threads) == 2
    alive = {thread.name for thread in threading.enumerate()}
    assert not alive & {name for _, name in got}


@pytest.mark.usefixtures("two_cores")
def test_a_thread_that_first_embeds_while_workers_start_keeps_all_cores(tiny, monkeypatch):
    """As threads of a web server whose first requests come at once."""
    backbone = Backbone.from_pretrained(tiny.folder("bert"), device="cpu")
    set_threads, starting = torch.set_num_threads, threading.Event()

    def set_slowly(n_threads):
        set_threads(n_threads)
        if n_threads == 1:
            starting.set()
            time.sleep(0.2)

    def embed():
        backbone.embed(tiny.texts[:1])
        return torch.get_num_threads()

    monkeypatch.setattr(torch, "set_num_threads", set_slowly)
    with Cores(2) as cores, ThreadPoolExecutor(1) as other:
        started = other.submit(cores.map, abs, [1, 2])
        assert starting.wait(timeout=10)
        assert in_new_thread(embed) == 2
        assert started.result() == [1, 2]


@pytest.mark.usefixtures("two_cores")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # Python 3.12 warns of forks
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_trains_and_embeds_and_loads(tiny):
    """As in a web server that loads the model before it forks its workers."""
    folder = tiny.folder("bert")
    backbone = Backbone.from_pretrained(folder, device="cpu")
    expected = backbone.embed(tiny.texts[:1]).values

    def share_between_cores():
        torch.nn.functional.layer_norm(torch.zeros(1000, 1000), [1000])

    def work():
        share_between_cores()  # as a head does that is trained on cached embeddings
        for one in (backbone, Backbone.from_pretrained(folder, device="cpu")):
            np.testing.assert_allclose(one.embed(tiny.texts[:1]).values, expected, atol=1e-5)
            share_between_cores()  # as blocks of real size do

    share_between_cores()
    forked = multiprocessing.get_context("fork").Process(target=work)
    forked.start()
    forked.join(60)
    forked.kill()  # if it waits for threads that it does not have
    assert forked.exitcode == 0


@pytest.mark.parametrize(("n_cores", "works"), [(1, [1, 2]), (2, [1]), (2, [])])
def test_a_single_task_or_core_starts_no_thread(n_cores, works):
    with Cores(n_cores) as cores:
        got = cores.map(lambda _: threading.get_ident(), works)
    assert set(got) <= {threading.get_ident()}


def test_an_error_is_raised_after_running_tasks_end_and_cores_stay_usable():
    done = []

    def run(i):
        if i == 0:
            raise ValueError("none")
        time.sleep(0.05)
        done.append(i)
        return i

    with Cores(2) as cores:
        with pytest.raises(ValueError, match="none"):
            cores.map(run, range(50))
        n_done = len(done)
        assert n_done < 49
        assert cores.map(run, [50, 51]) == [50, 51]
    assert done[n_done:] in ([50, 51], [51, 50])


def threads_that_read(monkeypatch) -> set[int]:
    """Return a set that fills with the threads that read batches from now on."""
    run, seen = LayerTap.run, set()

    def noticed(self, *args):
        seen.add(threading.get_ident())
        return run(self, *args)

    monkeypatch.setattr(LayerTap, "run", noticed)
    return seen


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize("family", ["bert", "deberta-v3", "albert", "llama", "t5"])
def test_parallel_batches_give_the_layers_of_sequential_ones(tiny, many_texts, family, monkeypatch):
    backbone = Backbone.from_pretrained(tiny.folder(family), pooling="mean", device="cpu")
    threads = threads_that_read(monkeypatch)
    monkeypatch.setattr(backbone.budget, "tokens", 64)
    got = backbone.embed(many_texts).values
    assert threading.get_ident() not in threads
    torch.set_num_threads(1)
    want = backbone.embed(many_texts).values
    assert threading.get_ident() in threads
    np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.usefixtures("two_cores")
def test_a_model_that_keeps_states_runs_one_batch_at_a_time(
    tiny, many_texts, tmp_path, monkeypatch
):
    """Two batches at once would add states of different sizes: an error with two cores."""
    options = {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "lru_width": 32,
        "attention_window_size": 8,
    }
    folder = tiny.write_as(tmp_path, tf.RecurrentGemmaConfig, options)
    backbone = Backbone.from_pretrained(folder, pooling="mean", device="cpu")
    threads = threads_that_read(monkeypatch)
    monkeypatch.setattr(backbone.budget, "tokens", 64)
    got = backbone.embed(many_texts).values
    assert threads == {threading.get_ident()}
    want = [backbone.embed([text]).values for text in many_texts[:9]]
    np.testing.assert_allclose(got[:, :9], np.concatenate(want, 1), atol=1e-5)


@pytest.mark.usefixtures("two_cores")
@pytest.mark.filterwarnings("ignore:.*longer than max_tokens")
def test_batches_run_one_by_one_if_memory_suffices_for_one_only(tiny, monkeypatch):
    """Parallel batches fail, even of one text each; they run later, one after another."""
    backbone = Backbone.from_pretrained(tiny.folder("bert"), device="cpu")
    texts = [f"the w{i} " * 40 for i in range(8)]
    want = backbone.embed(texts).values
    run, main = LayerTap.run, threading.get_ident()

    def limited(self, model, ids, mask):
        if threading.get_ident() != main:
            raise RuntimeError("DefaultCPUAllocator: not enough memory")
        return run(self, model, ids, mask)

    monkeypatch.setattr(LayerTap, "run", limited)
    monkeypatch.setattr(backbone.budget, "tokens", 1)
    with pytest.warns(UserWarning, match="continuing with smaller batches"):
        got = backbone.embed(texts).values
    np.testing.assert_allclose(got, want, atol=1e-5)


def texts_of(lengths):
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return TokenizedTexts(
        np.zeros(starts[-1], dtype=np.int32), starts, np.zeros(len(lengths), dtype=bool)
    )


@pytest.mark.parametrize("n_cores", [1, 2, 5])
@pytest.mark.parametrize("n_texts", [1, 7, 100, 3000])
def test_each_text_is_in_exactly_one_batch_within_the_token_budget(n_cores, n_texts):
    tokens = texts_of(np.random.default_rng(n_texts).integers(1, 90, n_texts))
    rest, seen = tokens.longest_first(), []
    while len(rest):
        batches = tokens.batches(rest, 512, n_cores)
        assert len(batches) <= (1 if n_cores == 1 else 8 * n_cores)
        for batch in batches:
            assert len(batch) * tokens.lengths[batch].max() <= 512
        seen += [i for batch in batches for i in batch]
        rest = rest[sum(map(len, batches)) :]
    np.testing.assert_array_equal(seen, tokens.longest_first())


def test_the_last_batches_are_equal_in_size_and_few_texts_stay_one_batch():
    tokens = texts_of([10] * 130)  # one and a third of a batch
    sizes = [len(batch) for batch in tokens.batches(tokens.longest_first(), 1000, 2)]
    assert sizes == [65, 65]
    few = texts_of([10] * 20)
    assert len(few.batches(few.longest_first(), 1000, 2)) == 1
