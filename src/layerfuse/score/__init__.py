"""Score layers from LayerEmbeddings and labels; one criterion per file."""

from layerfuse.score.attention_entropy import attention_entropy
from layerfuse.score.criteria import CRITERIA, CRITERION_NAMES, criterion_info
from layerfuse.score.importance import importance
from layerfuse.score.info import CriterionInfo, CriterionName, Need
from layerfuse.score.layers import score_layers

__all__ = [
    "CRITERIA",
    "CRITERION_NAMES",
    "CriterionInfo",
    "CriterionName",
    "Need",
    "attention_entropy",
    "criterion_info",
    "importance",
    "score_layers",
]
