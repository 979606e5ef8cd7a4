"""``curvature``: the angle by which the path of a text through the layers turns at a layer."""

import numpy as np

from layerfuse.core.arrays import Features, PerText
from layerfuse.core.errors import LayerError
from layerfuse.core.layers import LayerRef
from layerfuse.score.info import BLIND, CriterionInfo, Evidence


def curvature(evidence: Evidence) -> dict[LayerRef, PerText]:
    """Score each layer by minus the angle between the step into it and the step out of it.

    For the pooled vectors h_l of a text, the step into layer l is v_l = h_l - h_(l-1), and the
    angle at layer l is arccos( v_l' v_(l+1) / (||v_l|| ||v_(l+1)||) ). Higher, straighter, is taken
    as better.

    Henaff et al. and Hosseini and Fedorenko measure something else: the path over the tokens of a
    text, or the frames of a film, at one layer. Pooled vectors have no tokens, so the path here is
    over layers.

    Parameters
    ----------
    evidence : Evidence
        Layers of one backbone.

    Returns
    -------
    mapping of LayerRef to array of shape (text,)
        Radians, -pi .. 0; -pi/2 if a step is zero. Only for layers whose two neighbours are given
        under the same pooling, so not for the first and the last layer.

    Raises
    ------
    LayerError
        If no layer has both neighbours.
    FeatureError
        If a layer is not finite.

    Warnings
    --------
    A poor guide to accuracy: it uses no labels.

    Source
    ------
    Henaff et al. 2019, *Nature Neuroscience* 22, equation 1; Hosseini and Fedorenko 2023,
    arXiv:2311.04930.
    """
    have = set(evidence.block.refs)
    inner = [
        ref
        for ref in evidence.block.refs
        if ref.layer and {_shifted(ref, -1), _shifted(ref, 1)} <= have
    ]
    if not inner:
        raise LayerError(
            "curvature needs three consecutive layers under one pooling; "
            f"got {', '.join(map(str, evidence.block.refs))}."
        )
    rows: dict[LayerRef, Features] = {}  # three at a time; each is read once
    angles = {}
    for ref in sorted(inner, key=lambda r: (r.pooling, r.layer)):
        triple = (_shifted(ref, -1), ref, _shifted(ref, 1))
        rows = {r: rows[r] if r in rows else evidence.row(r) for r in triple}
        before, here, after = rows.values()
        angles[ref] = -_angles(here - before, after - here)
    return {ref: angles[ref] for ref in inner}


def _shifted(ref: LayerRef, step: int) -> LayerRef:
    return LayerRef(ref.backbone, ref.layer + step, ref.pooling)


def _angles(one: Features, other: Features) -> PerText:
    products = np.einsum("td,td->t", one, other, dtype=np.float64)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosines = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    return np.asarray(np.arccos(np.clip(cosines, -1.0, 1.0)))


CURVATURE = CriterionInfo(
    name="curvature",
    needs=frozenset(),
    cost="O(n d)",
    source="Henaff et al. 2019; Hosseini and Fedorenko 2023, arXiv:2311.04930",
    summary="minus the angle at which texts turn between layers",
    scorer=curvature,
    warning=BLIND,
)
