"""LayerEmbeddings and labels to LayerScores; one criterion per file."""

from layerfuse.score.layers import CRITERIA, CRITERION_NAMES, CriterionName, score_layers

__all__ = ["CRITERIA", "CRITERION_NAMES", "CriterionName", "score_layers"]
