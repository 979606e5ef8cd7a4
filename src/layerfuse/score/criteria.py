"""Every criterion by name: each file of its own, found here."""

from collections.abc import Mapping
from typing import get_args

from layerfuse.core.errors import check_option
from layerfuse.score.attention_entropy import ATTENTION_ENTROPY
from layerfuse.score.backbone_gradient import BACKBONE_GRADIENT
from layerfuse.score.depth import DEPTH
from layerfuse.score.gradient import GRADIENT
from layerfuse.score.importance import IMPORTANCE
from layerfuse.score.info import CriterionInfo, CriterionName
from layerfuse.score.loo_ridge import LOO_RIDGE
from layerfuse.score.probe import PROBE

CRITERION_NAMES: tuple[CriterionName, ...] = get_args(CriterionName)

CRITERIA: Mapping[str, CriterionInfo] = {
    info.name: info
    for info in (
        LOO_RIDGE,
        PROBE,
        DEPTH,
        IMPORTANCE,
        GRADIENT,
        ATTENTION_ENTROPY,
        BACKBONE_GRADIENT,
    )
}


def criterion_info(name: CriterionName) -> CriterionInfo:
    """Return what a criterion needs, costs and rests on.

    Parameters
    ----------
    name : CriterionName
        Its name.

    Returns
    -------
    CriterionInfo
        Also what ``score_layers`` runs.

    Raises
    ------
    UnknownOptionError
        If there is none of that name.
    """
    check_option("criterion", name, CRITERION_NAMES)
    return CRITERIA[name]
