"""The trade-off of quality against cost: the Pareto front and its knee."""

from collections.abc import Sequence


def pareto_front(points: Sequence[tuple[float, float]]) -> tuple[bool, ...]:
    """Return which points are on the Pareto front.

    Parameters
    ----------
    points : sequence of (float, float)
        Quality, higher is better, and cost, lower is better.

    Returns
    -------
    tuple of bool
        False if another point is at least as good and as cheap, and better in one of the two.
        Equal points do not dominate each other.
    """
    return tuple(
        not any(
            other != point and other[0] >= point[0] and other[1] <= point[1] for other in points
        )
        for point in points
    )


def knee(points: Sequence[tuple[float, float]]) -> int:
    """Return the point beyond which quality rises more slowly with cost.

    Parameters
    ----------
    points : sequence of (float, float)
        At least one: quality, higher is better, and cost, lower is better.

    Returns
    -------
    int
        Position of the point of the Pareto front farthest above the straight line between the ends
        of the front, with both axes scaled to 0 .. 1. If none lies above the line, as with fewer
        than three points, that of the best. Ties go to the better point, then to the first.

    Source
    ------
    Satopaa, Albrecht, Irwin and Raghavan 2011, *Finding a "Kneedle" in a Haystack*, ICDCS
    workshops, section III: the maximum of the difference curve, here without smoothing.
    """
    front = [i for i, on_front in enumerate(pareto_front(points)) if on_front]
    qualities, costs = zip(*(points[i] for i in front), strict=True)

    def above_line(i: int) -> float:
        return _scaled(points[i][0], qualities) - _scaled(points[i][1], costs)

    return max(front, key=lambda i: (above_line(i), points[i][0]))


def _scaled(value: float, values: Sequence[float]) -> float:
    """Scale a value linearly, so that the least value becomes 0 and the greatest 1."""
    low, high = min(values), max(values)
    return (value - low) / (high - low) if high > low else 0.0
