"""The cost of a backbone by the layer at which it is cut, and limits on the total cost."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from layerfuse.core.errors import LayerError, SelectionError, ShapeError
from layerfuse.core.layers import LayerRef


@dataclass(frozen=True, slots=True)
class DepthCosts:
    """Cost of one backbone cut after each of its layers.

    Parameters
    ----------
    backbone : str
        Name of the backbone.
    milliseconds : tuple of float
        Time per text if layer 0, 1, ... is the deepest that runs.
    weight_bytes : tuple of int
        Bytes of the weights that the cut keeps.

    Raises
    ------
    ShapeError
        If there is not one time and one size per layer.
    SelectionError
        If a cost is negative or not finite, or falls with depth.
    """

    backbone: str
    milliseconds: tuple[float, ...]
    weight_bytes: tuple[int, ...]

    def __post_init__(self) -> None:
        """Validate."""
        if not self.milliseconds or len(self.milliseconds) != len(self.weight_bytes):
            raise ShapeError(
                f"Expected a time and a size for each layer of {self.backbone}, "
                f"got {len(self.milliseconds)} and {len(self.weight_bytes)}."
            )
        for costs in (self.milliseconds, self.weight_bytes):
            if not all(math.isfinite(cost) and cost >= 0 for cost in costs):
                raise SelectionError(
                    f"Expected finite, non-negative costs of {self.backbone}, got {costs}."
                )
            if list(costs) != sorted(costs):
                raise SelectionError(
                    f"Expected costs of {self.backbone} that do not fall with depth, got {costs}."
                )


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits on the cost of a selection: the sum over its backbones, each cut at its deepest layer.

    Parameters
    ----------
    costs : tuple of DepthCosts
        One per backbone.
    max_milliseconds : float
        Limit on the time per text, for all backbones together.
    max_weight_bytes : float
        Limit on the bytes of weights, for all backbones together.

    Raises
    ------
    ShapeError
        If costs are something else, such as those of one backbone without a tuple.
    SelectionError
        If there is no limit, a limit is NaN, or a backbone appears twice.
    """

    costs: tuple[DepthCosts, ...]
    max_milliseconds: float = math.inf
    max_weight_bytes: float = math.inf

    def __post_init__(self) -> None:
        """Validate."""
        costs: Any = self.costs
        given = list(costs) if isinstance(costs, Iterable) else [None]
        if not all(isinstance(one, DepthCosts) for one in given):
            raise ShapeError(
                f"Expected a tuple of DepthCosts, one per backbone, got {type(self.costs).__name__}"
                ". Put those of a single backbone in a tuple: (costs,)."
            )
        object.__setattr__(self, "costs", tuple(given))
        limits = self.max_milliseconds, self.max_weight_bytes
        if all(limit == math.inf for limit in limits):
            raise SelectionError("A budget needs a limit: max_milliseconds or max_weight_bytes.")
        if any(math.isnan(limit) for limit in limits):
            raise SelectionError(f"Expected limits that are numbers, got {limits}.")
        names = [costs.backbone for costs in self.costs]
        if len(set(names)) != len(names):
            raise SelectionError(f"A budget has each backbone once, got {', '.join(names)}.")

    def cost(self, ref: LayerRef) -> tuple[float, float]:
        """Return milliseconds and bytes of a backbone that is cut after a layer.

        Raises
        ------
        LayerError
            If the cost of that backbone or layer is unknown.
        """
        for costs in self.costs:
            if costs.backbone == ref.backbone and ref.layer < len(costs.milliseconds):
                return costs.milliseconds[ref.layer], float(costs.weight_bytes[ref.layer])
        known = ", ".join(f"{c.backbone} to layer {len(c.milliseconds) - 1}" for c in self.costs)
        raise LayerError(f"The budget has no cost of {ref}. It has: {known or 'none'}.")

    def total(self, refs: Iterable[LayerRef]) -> tuple[float, float]:
        """Return milliseconds and bytes of a selection, summed over the deepest layers."""
        deepest: dict[str, LayerRef] = {}
        for ref in refs:
            deepest[ref.backbone] = max(
                ref, deepest.get(ref.backbone, ref), key=lambda ref: ref.layer
            )
        costs = [self.cost(ref) for ref in deepest.values()]
        return math.fsum(ms for ms, _ in costs), math.fsum(size for _, size in costs)

    def allows(self, cost: tuple[float, float]) -> bool:
        """Return whether milliseconds and bytes stay within the limits."""
        return cost[0] <= self.max_milliseconds and cost[1] <= self.max_weight_bytes
