"""What a report tells of costs: of fitting, of predicting, of every backbone."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PredictionCosts:
    """What predicting costs, measured in a process of its own.

    Parameters
    ----------
    n_parameters_total : int
        Of the whole backbones.
    n_parameters_kept : int
        Of the backbones cut at the deepest layer in use.
    n_parameters_trained : int
        Of fusion and head: all that was learnt.
    weight_bytes : int
        Of the cut backbones.
    flops_per_text : float
        Of the cut backbones, mean over the texts measured, multiplication and addition apart.
    latency_p50_ms, latency_p95_ms : float
        Of one text alone.
    texts_per_second : float
        Of many at once.
    peak_memory_bytes : int
        Highest resident memory of the process.
    extra_memory_bytes : int
        Allocated above what is loaded, no more than this in 99 % of the time. The peak, of what is
        resident, also holds what the allocator keeps of freed memory.
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
    """One set of backbones: what it gives and costs.

    Parameters
    ----------
    backbones : tuple of str
        In use.
    held_out_accuracy : float
        On training texts that were held out, 0 .. 1: choices are made by it, not by test texts.
    accuracy : float
        On the test texts, 0 .. 1.
    milliseconds : float
        A text, many at once.
    weight_bytes : int
        Of the cut backbones.
    on_front : bool
        Whether nothing else is as good (held out) and as cheap, in milliseconds, and in one of the
        two better.
    is_knee : bool
        Whether it is the point of the front farthest above the line between its ends; where none
        is above, the best.
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
        Of the backbone.
    held_out_gain : float
        Accuracy on held-out training texts with all minus without it; below 0 if it harms.
    milliseconds : float
        That it takes a text, many at once.
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
        Of the layer.
    gain : float
        Leave-one-out Brier score on training texts without it minus with all; below 0 if it harms.
    standard_error : float
        Of the gain, over texts.
    milliseconds : float
        That it takes a text, many at once; 0 where its backbone runs to a deeper layer anyway.
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
        Embedding training and test texts; what the cache held costs nothing.
    fit_seconds : float
        Everything in ``fit`` but the extraction.
    comparison_seconds : float
        All baselines, and in cross-validation the fits of all folds.
    peak_memory_bytes : int
        Highest resident memory of the process.
    cache_bytes : int
        The embeddings of these texts on disk; 0 without a cache.
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
        Of training and comparing.
    prediction : PredictionCosts, optional
        Of predicting; None if it was not asked for.
    choices : tuple of Choice
        The result and what smaller sets of backbones would give; empty if not asked for.
    marginals : tuple of Marginal
        What each backbone adds; empty if not asked for, or if there is one only.
    layer_marginals : tuple of LayerMarginal
        What each layer adds; empty if not asked for, or if there is one only.
    """

    fit: FitCosts
    prediction: PredictionCosts | None = None
    choices: tuple[Choice, ...] = ()
    marginals: tuple[Marginal, ...] = ()
    layer_marginals: tuple[LayerMarginal, ...] = ()
