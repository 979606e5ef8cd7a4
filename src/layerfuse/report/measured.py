"""The fresh process of ``measure_prediction``: loads a saved classifier, predicts, writes figures.

Run as ``python -m layerfuse.report.measured FOLDER``.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from layerfuse.classifier import FusionClassifier
from layerfuse.meter import Meter
from layerfuse.report.measure import CLASSIFIER, FIGURES, REQUEST

N_SINGLE = 64
"""Texts that are predicted one at a time."""


def main(folder: Path) -> None:
    """Measure the classifier in a folder on the texts in it, and write the figures there.

    Parameters
    ----------
    folder : Path
        As ``measure_prediction`` fills it.
    """
    request = json.loads((folder / REQUEST).read_text("utf-8"))
    classifier = FusionClassifier.load(
        folder / CLASSIFIER, device=request["device"], offline=True
    ).set_params(progress=False)
    figures = measure(classifier.predict, request["texts"], request["random_state"])
    (folder / FIGURES).write_text(json.dumps(figures), encoding="utf-8")


def measure(
    predict: Callable[[list[str]], Any], texts: Sequence[str], random_state: int
) -> dict[str, float]:
    """Measure a function that predicts.

    Parameters
    ----------
    predict : callable
        Takes a list of texts.
    texts : sequence of str
        At least one. All are predicted at once, and 64 drawn from them one at a time.
    random_state : int
        Draws the 64, again and again where there are fewer.

    Returns
    -------
    dict of str to float
        The measured fields of ``PredictionCosts``.
    """
    predict([texts[0]])  # what is made or touched when first used belongs to what is loaded
    with Meter() as meter:
        predict(list(texts))
    many = meter.overhead()
    rng = np.random.default_rng(random_state)
    drawn = rng.choice(len(texts), N_SINGLE, replace=len(texts) < N_SINGLE).tolist()
    p50, p95 = np.quantile([_milliseconds(predict, texts[i]) for i in drawn], [0.5, 0.95]).tolist()
    return {
        "latency_p50_ms": p50,
        "latency_p95_ms": p95,
        "texts_per_second": len(texts) / many.wall_seconds,
        "peak_memory_bytes": many.peak_memory_bytes,
        "extra_memory_bytes": many.extra_memory_bytes,
    }


def _milliseconds(predict: Callable[[list[str]], Any], text: str) -> float:
    started = time.perf_counter()
    predict([text])
    return 1000 * (time.perf_counter() - started)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
