"""The check of k, and the words for how many layers were chosen."""

from layerfuse.core.errors import SelectionError, as_integer
from layerfuse.core.scores import LayerScores


def check_k(k: int | None, scores: LayerScores, where: str = "") -> None:
    """Raise unless k is None or within 1 .. number of scored layers.

    Parameters
    ----------
    k : int, optional
        Number of layers to choose.
    scores : LayerScores
        Scores of the layers to choose from.
    where : str
        The part of the backbones that these layers are in, for the message.

    Raises
    ------
    UnknownOptionError
        If k is not an integer.
    SelectionError
        If k is out of range; the message gives the range.
    """
    if k is not None and not 1 <= as_integer("k", k) <= len(scores.refs):
        part = f" {where}" if where else ""
        which = f"{', '.join(scores.backbones)}: {len(scores.refs)} scored layers{part}"
        raise SelectionError(f"k={k} of {which}. Choose 1 to {len(scores.refs)}.")


def describe(k: int | None, scores: LayerScores) -> str:
    """Return the words for the k best layers, or without k for ``LayerScores.near_best``."""
    if k is not None:
        return "the best" if k == 1 else f"the {k} best"
    has_errors = scores.per_text is not None or scores.standard_errors
    return "those within one standard error of the best" if has_errors else "the best"
