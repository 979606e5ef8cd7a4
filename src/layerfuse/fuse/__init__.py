"""Fuse the selected feature blocks into one vector per text; one fusion per file."""

from collections.abc import Mapping
from typing import Literal

from layerfuse.fuse.attention import Attention
from layerfuse.fuse.concat import Concat
from layerfuse.fuse.cooccurrence import Cooccurrence
from layerfuse.fuse.experts import Experts
from layerfuse.fuse.fusion import Fusion, GatedFusion
from layerfuse.fuse.gated import Gated
from layerfuse.fuse.mean import Mean
from layerfuse.fuse.residual import (
    Residual,
    ResidualHadamard,
    ResidualMatmul,
    ResidualQuaternion,
    ResidualSum,
)
from layerfuse.fuse.scalar_mix import ScalarMix
from layerfuse.fuse.stacking import Stacking
from layerfuse.fuse.static_gate import StaticGate

FusionName = Literal[
    "concat",
    "mean",
    "scalar_mix",
    "static_gate",
    "gated",
    "attention",
    "cooccurrence",
    "residual_sum",
    "residual_hadamard",
    "residual_matmul",
    "residual_quaternion",
    "experts",
    "stacking",
]

FUSIONS: Mapping[FusionName, type[Fusion]] = {
    "concat": Concat,
    "mean": Mean,
    "scalar_mix": ScalarMix,
    "static_gate": StaticGate,
    "gated": Gated,
    "attention": Attention,
    "cooccurrence": Cooccurrence,
    "residual_sum": ResidualSum,
    "residual_hadamard": ResidualHadamard,
    "residual_matmul": ResidualMatmul,
    "residual_quaternion": ResidualQuaternion,
    "experts": Experts,
    "stacking": Stacking,
}


def fusion_name(fusion: Fusion) -> FusionName:
    """Return the name of a fitted fusion, as in ``FUSIONS``."""
    return next(name for name, kind in FUSIONS.items() if type(fusion) is kind)


__all__ = [
    "FUSIONS",
    "Attention",
    "Concat",
    "Cooccurrence",
    "Experts",
    "Fusion",
    "FusionName",
    "Gated",
    "GatedFusion",
    "Mean",
    "Residual",
    "ResidualHadamard",
    "ResidualMatmul",
    "ResidualQuaternion",
    "ResidualSum",
    "ScalarMix",
    "Stacking",
    "StaticGate",
    "fusion_name",
]
