"""How many layers may be asked for, and how many come unasked."""

from layerfuse.core.errors import SelectionError, as_integer
from layerfuse.core.scores import LayerScores


def check_k(k: int | None, scores: LayerScores, where: str = "") -> None:
    """Raise unless k is None or as many layers were scored.

    Parameters
    ----------
    k : int, optional
        Layers wanted.
    scores : LayerScores
        Of those to choose from.
    where : str
        What part of their backbones these are, for the message.

    Raises
    ------
    UnknownOptionError
        If it is no integer.
    SelectionError
        With the range of k.
    """
    if k is not None and not 1 <= as_integer("k", k) <= len(scores.refs):
        part = f" {where}" if where else ""
        which = f"{', '.join(scores.backbones)}: {len(scores.refs)} scored layers{part}"
        raise SelectionError(f"k={k} of {which}. Choose 1 to {len(scores.refs)}.")


def describe(k: int | None, scores: LayerScores) -> str:
    """Say which layers are taken: the k best, or else those of ``LayerScores.near_best``."""
    if k is not None:
        return "the best" if k == 1 else f"the {k} best"
    sure = scores.per_text is not None or scores.standard_errors
    return "those within one standard error of the best" if sure else "the best"
