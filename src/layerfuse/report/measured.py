"""The fresh process of ``measure_prediction``: loads a saved classifier, predicts, writes figures.

Run as ``python -m layerfuse.report.measured FOLDER``.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from layerfuse.backbone.heap import allocated_bytes, read_all_weights
from layerfuse.classifier import FusionClassifier
from layerfuse.meter import Meter
from layerfuse.report.measure import CLASSIFIER, FIGURES, REQUEST

N_SINGLE = 64
"""Texts that are predicted one at a time."""

N_ROUNDS = 2
"""Rounds of predicting all texts at once: first so many for the time, of which the fastest counts,
then as many for the memory."""

_MEMORY_QUANTILE = 0.99
"""Quantile over time of the memory on top of everything loaded. The maximum does not repeat,
because the peaks of all cores coincide in one run and not in the next."""

# A batch takes some ten milliseconds, its peak of memory much less.
_SAMPLE_SECONDS = 0.002


def main(folder: Path) -> None:
    """Measure the classifier in a folder on the texts in it, and write the figures there.

    Parameters
    ----------
    folder : Path
        Folder that ``measure_prediction`` has prepared.
    """
    request = json.loads((folder / REQUEST).read_text("utf-8"))
    classifier = FusionClassifier.load(
        folder / CLASSIFIER, device=request["device"], offline=True
    ).set_params(progress=False)
    for backbone in classifier.backbones_.values():
        read_all_weights(backbone.model)
    figures = measure(classifier.predict, request["texts"])
    (folder / FIGURES).write_text(json.dumps(figures), encoding="utf-8")


def measure(predict: Callable[[list[str]], Any], texts: Sequence[str]) -> dict[str, float]:
    """Measure a function that predicts.

    Parameters
    ----------
    predict : callable
        Takes a list of texts.
    texts : sequence of str
        At least one. All are predicted at once, in four rounds. Then 64 are drawn, with
        replacement if there are fewer, and predicted one at a time.

    Returns
    -------
    dict of str to float
        The measured fields of ``PredictionCosts``.
    """
    predict([texts[0]])  # memory allocated on first use counts as loaded
    loaded = allocated_bytes()
    rounds = [_milliseconds(predict, texts) for _ in range(N_ROUNDS)]
    # In rounds of its own, because sampling allocated memory slows allocation down.
    with Meter(_SAMPLE_SECONDS) as meter, _sampled(allocated_bytes) as allocated:
        for _ in range(N_ROUNDS):
            predict(list(texts))
    rng = np.random.default_rng(0)
    drawn = rng.choice(len(texts), N_SINGLE, replace=len(texts) < N_SINGLE).tolist()
    p50, p95 = np.quantile(
        [_milliseconds(predict, [texts[i]]) for i in drawn], [0.5, 0.95]
    ).tolist()
    return {
        "latency_p50_ms": p50,
        "latency_p95_ms": p95,
        "texts_per_second": 1000 * len(texts) / min(rounds),
        "peak_memory_bytes": meter.overhead().peak_memory_bytes,
        "extra_memory_bytes": max(0.0, float(np.quantile(allocated, _MEMORY_QUANTILE)) - loaded),
    }


@contextmanager
def _sampled(read: Callable[[], int]) -> Iterator[list[int]]:
    """Yield a list to which a thread appends the function's value every few milliseconds."""
    samples = [read()]
    stop = threading.Event()

    def sample() -> None:
        while not stop.wait(_SAMPLE_SECONDS):
            samples.append(read())

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join()
        samples.append(read())


def _milliseconds(predict: Callable[[list[str]], Any], texts: Sequence[str]) -> float:
    started = time.perf_counter()
    predict(list(texts))
    return 1000 * (time.perf_counter() - started)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
