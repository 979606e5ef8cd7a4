"""``backbone_gradient``: gradient of the loss of a probe on the last layer, at each layer."""

from functools import partial

from layerfuse.score.info import CriterionInfo
from layerfuse.score.signal import per_layer

BACKBONE_GRADIENT = CriterionInfo(
    name="backbone_gradient",
    needs=frozenset({"labels", "backbone_gradient"}),
    cost="a forward and a backward pass over a sample of texts",
    source="Gwak and Jung 2025, arXiv:2504.05764; Molchanov et al. 2017, arXiv:1611.06440",
    summary="size of state times gradient, from a probe on the last layer",
    scorer=partial(per_layer, name="backbone_gradient"),
)
"""I_l = mean over texts of ||h_l * dL/dh_l||, the first-order change of the loss without h_l.

``backbone`` computes it, because only the model has a backward pass. Higher is better: the states
of that layer matter more to the loss. The Taylor expansion is that of Molchanov et al. 2017,
equation 7, with a norm over dimensions.
"""
