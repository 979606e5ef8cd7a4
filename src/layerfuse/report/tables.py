"""Scores and trials as plain tables that fit a terminal."""

from collections.abc import Sequence

from layerfuse.classifier.fusing import FusionTrial
from layerfuse.core.escape import elide
from layerfuse.core.scores import LayerScores
from layerfuse.core.selection import Selection, Stability
from layerfuse.core.tables import text_table
from layerfuse.fuse import FusionName

_BAR = 12
_TERMINAL = 80
_NAME = 34  # characters of a layer's name; a longer one loses its start, as names differ at the end


def score_table(
    scores: LayerScores, selection: Selection | None = None, stability: Stability | None = None
) -> str:
    """Return a table of layer scores, with bars scaled from the worst to the best score.

    Parameters
    ----------
    scores : LayerScores
        Scores of the layers of one or several backbones.
    selection : Selection, optional
        Chosen layers, marked with a star.
    stability : Stability, optional
        Stability of the same layers, shown in a further column.

    Returns
    -------
    str
        One table for all backbones, at most 80 columns wide under every criterion of this library.
    """
    low, high = min(scores.values), max(scores.values)
    chosen = set(selection.refs) if selection else set()
    names = [elide(str(ref), _NAME) for ref in scores.refs]
    headers = ["layer", scores.criterion, "", "in use", *(["stability"] if stability else [])]
    values = [f"{value:.4f}" for value in scores.values]
    others = max(map(len, names)) + max(map(len, [scores.criterion, *values]))
    others += sum(2 + len(header) for header in headers[2:]) + 2
    length = max(4, min(_BAR, _TERMINAL - others))
    rows = []
    for ref, name, value, shown in zip(scores.refs, names, scores.values, values, strict=True):
        filled = round(length * (value - low) / (high - low)) if high > low else 0
        row = [name, shown, ("#" * filled).ljust(length), "*" if ref in chosen else ""]
        rows.append([*row, f"{stability[ref]:.0%}"] if stability else row)
    return text_table(headers, rows)


def trial_table(trials: Sequence[FusionTrial], in_use: FusionName) -> str:
    """Return a table of the fusions that were tried, in order.

    Parameters
    ----------
    trials : sequence of FusionTrial
        As in ``FusionClassifier.trials_``.
    in_use : FusionName
        Fusion in use, marked with a star.

    Returns
    -------
    str
        One table.
    """
    rows = [
        (
            trial.fusion,
            f"{trial.log_loss:.4f}",
            f"{trial.accuracy:.1%}",
            f"{trial.gain_errors:+.1f}" if i else "",
            f"{trial.seconds:.0f}",
            "*" if trial.fusion == in_use else "",
        )
        for i, trial in enumerate(trials)
    ]
    return text_table(
        ("fusion", "held-out log loss", "accuracy", "gain, std errors", "seconds", "in use"), rows
    )
