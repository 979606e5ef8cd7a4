"""The trade of quality against cost: the Pareto front and its knee."""

from collections.abc import Sequence


def pareto_front(points: Sequence[tuple[float, float]]) -> tuple[bool, ...]:
    """Tell which points nothing else beats.

    Parameters
    ----------
    points : sequence of (float, float)
        Quality, higher is better, and cost, lower is better.

    Returns
    -------
    tuple of bool
        False where another point is as good and as cheap, and in one of the two better; equal
        points do not beat each other.
    """
    return tuple(
        not any(
            other != point and other[0] >= point[0] and other[1] <= point[1] for other in points
        )
        for point in points
    )


def knee(points: Sequence[tuple[float, float]]) -> int:
    """Return the point from which on more cost buys less quality.

    Parameters
    ----------
    points : sequence of (float, float)
        At least one: quality, higher is better, and cost, lower is better.

    Returns
    -------
    int
        Position of the point of the Pareto front that lies farthest above the straight line between
        the ends of the front, once both axes are scaled to 0 .. 1; where none lies above, as with
        fewer than three points, of the best. Of equals the better, then the first.

    Source
    ------
    Satopaa, Albrecht, Irwin and Raghavan 2011, *Finding a "Kneedle" in a Haystack*, ICDCS
    workshops, section III: the maximum of the difference curve, here of few points without noise.
    """
    front = [i for i, on_front in enumerate(pareto_front(points)) if on_front]
    qualities, costs = zip(*(points[i] for i in front), strict=True)

    def above_line(i: int) -> float:
        return _scaled(points[i][0], qualities) - _scaled(points[i][1], costs)

    return max(front, key=lambda i: (above_line(i), points[i][0]))


def _scaled(value: float, values: Sequence[float]) -> float:
    """Return where a value lies between the least, 0, and the greatest, 1."""
    low, high = min(values), max(values)
    return (value - low) / (high - low) if high > low else 0.0
