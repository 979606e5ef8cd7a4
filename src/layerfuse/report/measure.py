"""``measure_prediction``: measures the costs of prediction in a fresh process."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from layerfuse.backbone import fastest_kernel
from layerfuse.backbone.flops import flops_per_text
from layerfuse.backbone.kernels import PIN
from layerfuse.classifier import FusionClassifier
from layerfuse.core.errors import DataError, ReportError
from layerfuse.core.sample import sample_texts
from layerfuse.report.costs import PredictionCosts

MAX_TEXTS = 256
"""Most texts that are predicted at once."""

CLASSIFIER, REQUEST, FIGURES = "classifier", "request.json", "figures.json"
"""Names in the folder through which both processes communicate."""


def measure_prediction(
    classifier: FusionClassifier,
    texts: Sequence[str],
    *,
    whole_parameters: int | None = None,
) -> PredictionCosts:
    """Measure the costs of prediction.

    The classifier is saved with its backbones and loaded by a fresh process, so that memory
    contains only what prediction needs and no cache is warm from fitting. One text is predicted
    first, outside the measurement. Times depend on this machine, its load and the kernel that this
    process found fastest. Memory varies by a few per cent, all else hardly.

    Parameters
    ----------
    classifier : FusionClassifier
        Fitted classifier.
    texts : sequence of str
        Texts of typical length, of which at most 256 are drawn.
    whole_parameters : int, optional
        Parameters of the uncut backbones in use. Default: they are loaded again and counted.

    Returns
    -------
    PredictionCosts
        The costs; memory is that of the host.

    Raises
    ------
    NotFittedError
        If the classifier is not fitted.
    DataError
        If there is no text.
    BackboneLoadError
        If the uncut backbones must be loaded and cannot be.
    ReportError
        If the fresh process fails; with the last line of its standard error.
    """
    if not texts:
        raise DataError("Expected at least one text to measure prediction with, got none.")
    drawn = sample_texts(np.zeros(len(texts), dtype=int), MAX_TEXTS, random_state=0).tolist()
    sample = [texts[i] for i in drawn]
    with TemporaryDirectory() as folder:
        classifier.save(Path(folder) / CLASSIFIER, include_backbones=True)
        figures = _measure_afresh(Path(folder), sample, classifier.device)
    if whole_parameters is None:
        whole_parameters = sum(
            backbone.n_parameters
            for backbone in classifier.load_backbones()
            if backbone.name in classifier.backbones_
        )
    cut = classifier.backbones_.values()
    return PredictionCosts(
        n_parameters_total=whole_parameters,
        n_parameters_kept=sum(backbone.n_parameters for backbone in cut),
        n_parameters_trained=_n_trained(classifier),
        weight_bytes=sum(p.nbytes for backbone in cut for p in backbone.model.parameters()),
        flops_per_text=sum(flops_per_text(backbone, sample) for backbone in cut),
        latency_p50_ms=figures["latency_p50_ms"],
        latency_p95_ms=figures["latency_p95_ms"],
        texts_per_second=figures["texts_per_second"],
        peak_memory_bytes=int(figures["peak_memory_bytes"]),
        extra_memory_bytes=int(figures["extra_memory_bytes"]),
    )


def _measure_afresh(folder: Path, texts: Sequence[str], device: str | None) -> Mapping[str, float]:
    """Measure the classifier in a folder in a fresh process."""
    request = {"texts": texts, "device": device}
    (folder / REQUEST).write_text(json.dumps(request), encoding="utf-8")
    # -P: do not import modules from the working folder, as the command line does not either.
    command = [sys.executable, "-P", "-m", "layerfuse.report.measured", str(folder)]
    # Use the kernel of fit: between two of similar speed the probe picks one by chance, and they
    # differ in memory.
    environment = os.environ | {PIN: fastest_kernel()}
    done = subprocess.run(  # noqa: S603
        command, env=environment, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        errors = done.stderr.strip().splitlines() or ["no message; memory may not suffice"]
        raise ReportError(
            f"Expected a fresh process to load the classifier and predict {len(texts)} texts; it "
            f"ended with status {done.returncode}: {errors[-1]}"
        )
    figures: Mapping[str, float] = json.loads((folder / FIGURES).read_text("utf-8"))
    return figures


def _n_trained(classifier: FusionClassifier) -> int:
    """Count the parameters of fusion and head; a vocabulary, stored as bytes, does not count."""
    arrays = [*classifier.fusion_.arrays().values(), *classifier.head_.arrays().values()]
    return sum(array.size for array in arrays if np.issubdtype(array.dtype, np.floating))
