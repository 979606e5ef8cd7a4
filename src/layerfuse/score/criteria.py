"""The registry of criteria by name; each has its own file."""

from collections.abc import Mapping
from typing import get_args

from layerfuse.core.errors import check_option
from layerfuse.score.alpha_req import ALPHA_REQ
from layerfuse.score.anisotropy import ANISOTROPY
from layerfuse.score.attention_entropy import ATTENTION_ENTROPY
from layerfuse.score.backbone_gradient import BACKBONE_GRADIENT
from layerfuse.score.cka_label import CKA_LABEL
from layerfuse.score.curvature import CURVATURE
from layerfuse.score.depth import DEPTH
from layerfuse.score.fisher import FISHER
from layerfuse.score.gbc import GBC
from layerfuse.score.gradient import GRADIENT
from layerfuse.score.hscore import HSCORE
from layerfuse.score.importance import IMPORTANCE
from layerfuse.score.info import CriterionInfo, CriterionName
from layerfuse.score.knn import KNN
from layerfuse.score.logme import LOGME
from layerfuse.score.loo_ridge import LOO_RIDGE
from layerfuse.score.matrix_entropy import MATRIX_ENTROPY
from layerfuse.score.mdl import MDL
from layerfuse.score.probe import PROBE
from layerfuse.score.rankme import RANKME
from layerfuse.score.transrate import TRANSRATE
from layerfuse.score.twonn import TWONN

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
        MDL,
        LOGME,
        HSCORE,
        FISHER,
        KNN,
        TRANSRATE,
        GBC,
        CKA_LABEL,
        MATRIX_ENTROPY,
        RANKME,
        ALPHA_REQ,
        TWONN,
        CURVATURE,
        ANISOTROPY,
    )
}


def criterion_info(name: CriterionName) -> CriterionInfo:
    """Return the needs, cost and source of a criterion.

    Parameters
    ----------
    name : CriterionName
        Name of the criterion.

    Returns
    -------
    CriterionInfo
        The criterion as ``score_layers`` runs it.

    Raises
    ------
    UnknownOptionError
        If no criterion has this name.
    """
    check_option("criterion", name, CRITERION_NAMES)
    return CRITERIA[name]
