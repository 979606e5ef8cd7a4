"""``LayerChoice``: scores, the selection made from them, and its stability."""

from dataclasses import dataclass

from layerfuse.core.errors import SelectionError
from layerfuse.core.scores import LayerScores
from layerfuse.core.selection import Selection, Stability


@dataclass(frozen=True, slots=True)
class LayerChoice:
    """Scores of all layers under one criterion, the layers chosen by them, and their stability.

    Parameters
    ----------
    scores : LayerScores
        Scores of all layers.
    selection : Selection
        The chosen layers, all of which were scored.
    stability : Stability, optional
        How often each layer is chosen on resamples of the texts.

    Raises
    ------
    SelectionError
        If a chosen layer was not scored, or the stability is of other layers.
    """

    scores: LayerScores
    selection: Selection
    stability: Stability | None = None

    def __post_init__(self) -> None:
        """Validate."""
        unscored = [str(ref) for ref in self.selection if ref not in self.scores.refs]
        if unscored:
            raise SelectionError(f"Chosen, but not scored: {', '.join(unscored)}.")
        if self.stability is not None and self.stability.refs != self.scores.refs:
            raise SelectionError("Expected the stability of exactly the scored layers.")

    @property
    def standard_errors(self) -> tuple[float, ...]:
        """Standard error of each score over texts, or over resamples if there is none; or empty."""
        if self.scores.standard_errors or self.stability is None:
            return self.scores.standard_errors
        return self.stability.standard_errors
