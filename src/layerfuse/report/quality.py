"""Metrics of one classifier on the test texts, in all and by class."""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import f1_score, precision_recall_fscore_support

from layerfuse.core.arrays import ClassIndices, Targets
from layerfuse.core.calibrate import text_log_losses
from layerfuse.report.facts import ClassQuality, Gain, Quality
from layerfuse.report.metrics import (
    brier_score,
    calibration_error,
    mcnemar_p,
    paired_gain,
    reliability,
    wilson_interval,
)

_TINY = 1e-15  # lower bound of probabilities, so that no single text makes the log loss infinite


def quality(
    name: str,
    kind: str,
    probabilities: Targets,
    truth: ClassIndices,
    result: Targets | None = None,
) -> Quality:
    """Return all metrics of one classifier on the test texts.

    Parameters
    ----------
    name, kind : str
        As in ``Quality``.
    probabilities : array of shape (text, class)
        Probabilities that it predicts.
    truth : int array of shape (text,)
        Class indices.
    result : array of shape (text, class), optional
        Probabilities of the result, for its gain over this classifier.

    Returns
    -------
    Quality
        Its metrics.
    """
    predicted = probabilities.argmax(1)
    right = predicted == truth
    interval = wilson_interval(int(right.sum()), len(truth))
    return Quality(
        name=name,
        kind=kind,
        accuracy=interval.value,
        accuracy_low=interval.low,
        accuracy_high=interval.high,
        macro_f1=float(
            f1_score(truth, predicted, labels=np.unique(truth), average="macro", zero_division=0)
        ),
        log_loss=float(text_log_losses(np.log(np.maximum(probabilities, _TINY)), truth).mean()),
        brier=brier_score(probabilities, truth),
        calibration_error=calibration_error(reliability(probabilities, truth)),
        gain=None if result is None else gain_over(result.argmax(1) == truth, right),
    )


def gain_over(right: np.ndarray, baseline_right: np.ndarray) -> Gain:
    """Return the gain in points over a baseline on the same texts, with interval and p."""
    gain = paired_gain(right, baseline_right)
    points, low, high = (100 * value for value in (gain.value, gain.low, gain.high))
    return Gain(points, low, high, mcnemar_p(right, baseline_right))


def class_table(
    predicted: ClassIndices, truth: ClassIndices, labels: Sequence[str]
) -> tuple[ClassQuality, ...]:
    """Return precision, recall and F1 of each class.

    Parameters
    ----------
    predicted, truth : int arrays of shape (text,)
        Class indices.
    labels : sequence of str
        One per class index.

    Returns
    -------
    tuple of ClassQuality
        In the order of the labels.
    """
    every = np.arange(len(labels))
    columns = precision_recall_fscore_support(truth, predicted, labels=every, zero_division=0)
    return tuple(
        ClassQuality(label, int(n_texts), float(precision), float(recall), float(f1))
        for label, precision, recall, f1, n_texts in zip(labels, *columns, strict=True)
    )
