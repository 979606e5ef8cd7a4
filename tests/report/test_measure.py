"""measure_prediction: counts are sums over the parts, times are those of a simulated clock."""

import json
import os
import sys
import time

import numpy as np
import pytest

from layerfuse import Backbone, FusionClassifier
from layerfuse.backbone.flops import flops_per_text
from layerfuse.classifier import NotFittedError
from layerfuse.core.errors import BundleFormatError, DataError, ReportError
from layerfuse.report import measure as measure_module
from layerfuse.report import measured
from layerfuse.report.measure import measure_prediction
from layerfuse.report.measured import N_ROUNDS, N_SINGLE, main, measure

QUICK = {
    "latency_p50_ms": 1.5,
    "latency_p95_ms": 2.5,
    "texts_per_second": 100.0,
    "peak_memory_bytes": 3000,
    "extra_memory_bytes": 200,
}


@pytest.fixture
def classifier(tiny_encoder, tiny_decoder, toy_texts, toy_labels):
    """Two backbones and a TF-IDF head, whose terms are not trained numbers."""
    classifier = FusionClassifier(
        [str(tiny_encoder), str(tiny_decoder)],
        head="ridge",
        lexical=True,
        device="cpu",
        cache=None,
        progress=False,
    )
    return classifier.fit(toy_texts, toy_labels)


@pytest.fixture
def afresh(monkeypatch):
    """Skip the fresh process, and return its request."""
    asked = []

    def note(folder, texts, device):
        saved = folder / measure_module.CLASSIFIER
        asked.append((list(texts), device, sorted(p.name for p in saved.iterdir())))
        return QUICK

    monkeypatch.setattr(measure_module, "_measure_afresh", note)
    return asked


def test_a_fresh_process_measures_the_saved_classifier(classifier, toy_texts, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    texts = [*toy_texts, "\ud800 half a pair, which no encoding writes"]
    costs = measure_prediction(classifier, texts, whole_parameters=7)
    assert costs.n_parameters_total == 7
    assert 0 < costs.latency_p50_ms <= costs.latency_p95_ms
    assert costs.texts_per_second > 0
    assert costs.peak_memory_bytes > 50e6  # torch alone is more
    assert 0 <= costs.extra_memory_bytes < costs.peak_memory_bytes


def test_the_last_line_of_a_failed_process_is_in_the_error(tmp_path, monkeypatch):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho Traceback >&2\necho 'SomeError: its reason' >&2\nexit 3\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(ReportError, match=r"predict 1 texts; .* status 3: SomeError: its reason$"):
        measure_module._measure_afresh(tmp_path, ["text"], "cpu")


def test_the_fresh_process_refuses_a_damaged_classifier(tmp_path):
    (tmp_path / measure_module.REQUEST).write_text('{"device": "cpu"}')
    (tmp_path / measure_module.CLASSIFIER).mkdir()
    (tmp_path / measure_module.CLASSIFIER / "config.json").write_text("{}")
    with pytest.raises(BundleFormatError):
        main(tmp_path)
    assert not (tmp_path / measure_module.FIGURES).exists()


def test_a_process_that_fails_without_output_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ReportError, match="status 1: no message; memory"):
        measure_module._measure_afresh(tmp_path, ["text"], "cpu")


def test_parameters_bytes_and_flops_are_sums_over_the_parts(
    classifier, toy_texts, afresh, tiny_encoder, tiny_decoder
):
    costs = measure_prediction(classifier, toy_texts)
    whole = [Backbone.from_pretrained(folder) for folder in (tiny_encoder, tiny_decoder)]
    assert costs.n_parameters_total == sum(b.n_parameters for b in whole)
    cut = list(classifier.backbones_.values())
    assert costs.n_parameters_kept == sum(b.n_parameters for b in cut)
    assert costs.weight_bytes == 4 * costs.n_parameters_kept
    assert costs.flops_per_text == sum(flops_per_text(b, toy_texts) for b in cut)
    width = classifier.transform(toy_texts[:1]).shape[1]
    terms = len(classifier.head_.lexical.terms.idf)
    # Shift and scale of each feature; a weight for each class and feature; the temperatures of the
    # head and of words, the weights of the pool, and for each term its frequency and a weight for
    # each class.
    assert costs.n_parameters_trained == 2 * width + 2 * width + 2 + 2 + 2 + 3 * terms + 2
    assert (costs.latency_p50_ms, costs.latency_p95_ms, costs.texts_per_second) == (1.5, 2.5, 100)
    assert (costs.peak_memory_bytes, costs.extra_memory_bytes) == (3000, 200)
    assert "backbones" in afresh[0][2]


def test_only_backbones_in_use_are_counted(make, toy_texts, toy_labels, tiny_decoder, afresh):
    encoder = make().backbones[0]
    classifier = make(backbones=[encoder, str(tiny_decoder)], selector="top", k=1)
    classifier.fit(toy_texts, toy_labels)
    (used,) = classifier.backbones_
    whole = Backbone.from_pretrained({"encoder": encoder, "decoder": tiny_decoder}[used])
    costs = measure_prediction(classifier, toy_texts)
    assert costs.n_parameters_total == whole.n_parameters
    assert costs.n_parameters_kept <= whole.n_parameters


def test_the_sample_of_many_texts_is_always_the_same(make, toy_texts, toy_labels, afresh):
    classifier = make().fit(toy_texts, toy_labels)
    texts = [f"word{i} calm{i}" for i in range(2 * measure_module.MAX_TEXTS)]
    for _ in range(2):
        measure_prediction(classifier, texts, whole_parameters=1)
    first, again = (asked[0] for asked in afresh)
    assert first == again
    assert len(set(first)) == measure_module.MAX_TEXTS
    assert set(first) <= set(texts)
    assert [asked[1] for asked in afresh] == ["cpu", "cpu"]


def test_no_texts_and_unfitted_classifiers_are_refused(make, toy_texts, toy_labels):
    with pytest.raises(DataError, match="at least one text"):
        measure_prediction(make(), [])
    with pytest.raises(NotFittedError):
        measure_prediction(make(), toy_texts)


def test_times_are_measured_for_single_texts_and_for_all_at_once(monkeypatch):
    """A clock that a text of n characters moves by n milliseconds, by twice that at first."""
    now, seen = [0.0], []

    def predict(texts):
        seen.append(texts)
        now[0] += sum(map(len, texts)) / (1000 if len(seen) > 2 else 500)

    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    texts = ["x" * n for n in range(1, 101)]
    figures = measure(predict, texts)
    assert figures["texts_per_second"] == pytest.approx(100 / 5.050)
    n_rounds = 2 * N_ROUNDS  # for times, then for memory
    warm, many, single = seen[0], seen[1 : 1 + n_rounds], seen[1 + n_rounds :]
    assert warm == texts[:1]
    assert many == [texts] * n_rounds
    assert len(single) == len({one for (one,) in single}) == N_SINGLE >= 30
    lengths = [len(one) for (one,) in single]
    assert figures["latency_p50_ms"] == pytest.approx(np.median(lengths))
    assert figures["latency_p95_ms"] == pytest.approx(np.quantile(lengths, 0.95))
    json.dumps(figures)


def test_few_texts_are_repeated_for_single_predictions():
    seen = []
    measure(seen.append, ["one", "two"])
    n_rounds = 2 * N_ROUNDS
    assert seen[: 1 + n_rounds] == [["one"], *[["one", "two"]] * n_rounds]
    assert len(seen) == 1 + n_rounds + N_SINGLE
    assert {text for (text,) in seen[1 + n_rounds :]} == {"one", "two"}


def test_extra_memory_is_that_of_predicting_many_texts():
    def predict(texts):
        if len(texts) > 1:
            held = np.ones(80 * 2**17)  # 80 MB, every page touched
            time.sleep(0.05)
            del held

    figures = measure(predict, ["one", "two"])
    assert 0.9 < figures["extra_memory_bytes"] / (80 * 2**20) < 1.2
    assert figures["peak_memory_bytes"] > figures["extra_memory_bytes"]


def test_extra_memory_leaves_out_short_peaks(monkeypatch):
    reads, rounds = [], []
    loaded, widest, usual = 1_000, 9_000, 1_600

    def allocated_bytes():
        reads.append(len(reads))
        if reads[-1] == 0:
            return loaded
        return widest if reads[-1] % 200 == 150 else usual

    def predict(texts):
        rounds.extend([texts] if len(texts) > 1 else [])
        deadline = time.monotonic() + 20
        while len(rounds) > N_ROUNDS and len(reads) < 300 and time.monotonic() < deadline:
            time.sleep(0.01)

    monkeypatch.setattr(measured, "allocated_bytes", allocated_bytes)
    figures = measure(predict, ["one", "two"])
    assert figures["extra_memory_bytes"] == usual - loaded


def test_allocated_bytes_are_not_counted_while_time_is_measured(monkeypatch):
    counts, while_timed = [], []

    def allocated_bytes():
        counts.append(0)
        return 0

    def milliseconds(predict, texts):
        while_timed.append((len(texts), len(counts)))
        time.sleep(0.02)
        return 1.0

    monkeypatch.setattr(measured, "allocated_bytes", allocated_bytes)
    monkeypatch.setattr(measured, "_milliseconds", milliseconds)
    measure(lambda texts: None, ["one", "two"])
    many = [n_counts for n_texts, n_counts in while_timed if n_texts > 1]
    assert many == [1] * N_ROUNDS  # that of the loaded classifier
