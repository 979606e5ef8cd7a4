"""``depth``: the prior that the middle layers of a model are best."""

from layerfuse.core.layers import LayerRef
from layerfuse.score.info import CriterionInfo, Evidence, Measured


def depth(ref: LayerRef, n_layers: int) -> float:
    """Score a layer by how near it is to the middle, without using any text.

    Parameters
    ----------
    ref : LayerRef
        The layer.
    n_layers : int
        Number of blocks of its backbone.

    Returns
    -------
    float
        1 in the middle, 0 at both ends.

    Source
    ------
    Skean et al. 2025, arXiv:2502.02013: without labels, the middle layer is hard to beat.
    """
    return 1.0 - abs(2.0 * ref.layer / n_layers - 1.0) if n_layers else 1.0


def _scorer(evidence: Evidence) -> Measured:
    refs = evidence.block.refs
    deepest = max(ref.layer for ref in refs)
    return {ref: depth(ref, deepest) for ref in refs}


DEPTH = CriterionInfo(
    name="depth",
    needs=frozenset(),
    cost="nothing",
    source="Skean et al. 2025, arXiv:2502.02013",
    summary="nearness to the middle of the backbone",
    scorer=_scorer,
    warning="Uses no text: every task gets the same layers.",
)
