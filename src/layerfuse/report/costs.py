"""Costs in a report: of fitting, of prediction, and of each backbone."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PredictionCosts:
    """Costs of prediction, measured in a fresh process.

    Parameters
    ----------
    n_parameters_total : int
        Parameters of the whole backbones.
    n_parameters_kept : int
        Parameters of the backbones cut at the deepest layer in use.
    n_parameters_trained : int
        Parameters of fusion and head.
    weight_bytes : int
        Size of the weights of the cut backbones.
    flops_per_text : float
        FLOPs of the cut backbones, mean over the measured texts; a multiply-add counts as two.
    latency_p50_ms, latency_p95_ms : float
        Median and 95th percentile of the time for a single text.
    texts_per_second : float
        Throughput for many texts at once.
    peak_memory_bytes : int
        Highest resident memory of the process, with freed memory that the allocator keeps.
    extra_memory_bytes : int
        Memory allocated on top of everything loaded, 99th percentile over time.
    """

    n_parameters_total: int
    n_parameters_kept: int
    n_parameters_trained: int
    weight_bytes: int
    flops_per_text: float
    latency_p50_ms: float
    latency_p95_ms: float
    texts_per_second: float
    peak_memory_bytes: int
    extra_memory_bytes: int


@dataclass(frozen=True, slots=True)
class Choice:
    """Accuracy and cost of one set of backbones.

    Parameters
    ----------
    backbones : tuple of str
        Names of the backbones.
    held_out_accuracy : float
        Accuracy on held-out training texts, 0 .. 1; used to compare the sets.
    accuracy : float
        Accuracy on the test texts, 0 .. 1.
    milliseconds : float
        Time a text when many are predicted at once.
    weight_bytes : int
        Size of the weights of the cut backbones.
    on_front : bool
        Whether it is on the Pareto front of held-out accuracy and milliseconds.
    is_knee : bool
        Whether it is the point of the front farthest above the line between its ends; if none
        is above, the most accurate.
    """

    backbones: tuple[str, ...]
    held_out_accuracy: float
    accuracy: float
    milliseconds: float
    weight_bytes: int
    on_front: bool
    is_knee: bool


@dataclass(frozen=True, slots=True)
class Marginal:
    """What one backbone adds to all others.

    Parameters
    ----------
    name : str
        Name of the backbone.
    held_out_gain : float
        Held-out accuracy on training texts with it minus without it; negative if it harms.
    milliseconds : float
        Time a text that it adds when many are predicted at once.
    """

    name: str
    held_out_gain: float
    milliseconds: float


@dataclass(frozen=True, slots=True)
class LayerMarginal:
    """What one layer adds to all others in use.

    Parameters
    ----------
    name : str
        Name of the layer.
    gain : float
        Leave-one-out Brier score on training texts without it minus with it; negative if it harms.
    standard_error : float
        Standard error of the gain, over texts.
    milliseconds : float
        Time a text that it adds when many are predicted at once; 0 if its backbone runs to a
        deeper layer anyway.
    """

    name: str
    gain: float
    standard_error: float
    milliseconds: float


@dataclass(frozen=True, slots=True)
class FitCosts:
    """What extraction and fitting cost.

    Parameters
    ----------
    extraction_seconds : float
        Time to embed training and test texts; cached embeddings cost nothing.
    fit_seconds : float
        Time of ``fit`` without extraction.
    comparison_seconds : float
        Time of all baselines, and in cross-validation of the fits of all folds.
    peak_memory_bytes : int
        Highest resident memory of the process.
    cache_bytes : int
        Size of the embeddings of these texts on disk; 0 without a cache.
    """

    extraction_seconds: float
    fit_seconds: float
    comparison_seconds: float
    peak_memory_bytes: int
    cache_bytes: int


@dataclass(frozen=True, slots=True)
class Overheads:
    """All costs.

    Parameters
    ----------
    fit : FitCosts
        Costs of fitting and comparing.
    prediction : PredictionCosts, optional
        Costs of prediction; None if not measured.
    choices : tuple of Choice
        The whole set of backbones and smaller ones; empty if not measured.
    marginals : tuple of Marginal
        What each backbone adds; empty if not measured or if there is only one.
    layer_marginals : tuple of LayerMarginal
        What each layer adds; empty if not measured or if there is only one.
    """

    fit: FitCosts
    prediction: PredictionCosts | None = None
    choices: tuple[Choice, ...] = ()
    marginals: tuple[Marginal, ...] = ()
    layer_marginals: tuple[LayerMarginal, ...] = ()
