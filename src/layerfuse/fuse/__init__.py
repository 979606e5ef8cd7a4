"""Selected feature blocks to one vector per text; one fusion per file."""

from collections.abc import Mapping
from typing import Literal

from layerfuse.fuse.concat import Concat
from layerfuse.fuse.fusion import Fusion, GatedFusion, Supervision
from layerfuse.fuse.mean import Mean

FusionName = Literal["concat", "mean"]

FUSIONS: Mapping[str, type[Fusion]] = {"concat": Concat, "mean": Mean}

__all__ = ["FUSIONS", "Concat", "Fusion", "FusionName", "GatedFusion", "Mean", "Supervision"]
