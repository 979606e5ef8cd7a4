"""Front and knee against slow definitions, on random points with many ties."""

import numpy as np
import pytest

from layerfuse.report.trade import knee, pareto_front

SEEDS = range(35)


def grid_points(seed):
    """Up to twelve points of few distinct values, so that ties are frequent."""
    rng = np.random.default_rng(seed)
    points = rng.integers(1 + seed % 7, size=(rng.integers(1, 13), 2))
    return [(float(quality), float(cost)) for quality, cost in points]


def smooth_points(seed):
    rng = np.random.default_rng(seed)
    return [tuple(point) for point in rng.random((rng.integers(1, 13), 2)).tolist()]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("draw", [grid_points, smooth_points])
def test_the_pareto_front_equals_that_of_a_sweep_by_cost(draw, seed):
    """By rising cost, a point stays if it is better than all before or equals one that stays."""
    points = draw(seed)
    stays, best = set(), -np.inf
    for quality, cost in sorted(points, key=lambda p: (p[1], -p[0])):
        if quality > best:
            best = quality
            stays.add((quality, cost))
    assert pareto_front(points) == tuple(point in stays for point in points)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("draw", [grid_points, smooth_points])
def test_the_knee_is_farthest_from_the_line_between_the_ends(draw, seed):
    points = draw(seed)
    front = sorted({p for p, on in zip(points, pareto_front(points), strict=True) if on})
    found = points[knee(points)]
    assert found in front
    (low, cheap), (high, dear) = front[0], front[-1]
    if len(front) < 3:
        assert found == (high, dear)
        return

    def height(point):
        """Distance from the line by the cross product, below it negative."""
        x, y = (point[1] - cheap) / (dear - cheap), (point[0] - low) / (high - low)
        return np.cross([1.0, 1.0, 0.0], [x, y, 0.0])[2] / np.sqrt(2)

    heights = [height(point) for point in front]
    assert height(found) == pytest.approx(max(heights))
    if max(heights) < 1e-9:
        assert found == (high, dear)


@pytest.mark.parametrize("seed", range(20))
def test_the_knee_does_not_depend_on_units(seed):
    points = smooth_points(seed)
    assert knee([(3 * quality - 1, 1000 * cost + 5) for quality, cost in points]) == knee(points)


def test_a_point_in_the_middle_is_the_knee_only_above_the_line():
    assert knee([(0.70, 1.0), (0.88, 2.0), (0.90, 10.0)]) == 1
    assert knee([(0.70, 1.0), (0.72, 9.0), (0.90, 10.0)]) == 2


def test_equal_points_are_both_on_the_front_and_the_first_is_the_knee():
    points = [(0.5, 2.0), (0.9, 1.0), (0.9, 1.0)]
    assert pareto_front(points) == (False, True, True)
    assert knee(points) == 1
