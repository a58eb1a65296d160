"""Which policy a compute budget should buy: frontiers of measured curves, with bootstrap probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

BUDGETS_PER_DECADE = 40


@dataclass(frozen=True)
class MeasuredCurve:
    """Error against cost of one policy: `cost` [m] in FLOPs, increasing; `error` [m]; `draws` [draws, m]."""

    cost: Floats
    error: Floats
    draws: Floats


@dataclass(frozen=True)
class PolicyFrontier:
    """The policy of least error at each budget.

    `cost`: [g] in FLOPs. `best`: index of the policy, [g]. `draws`: the same per bootstrap draw, [draws, g].
    `probability`: [policies, g], the share of draws in which each policy is best; columns sum to 1.
    """

    cost: Floats
    best: Ints
    draws: Ints
    probability: Floats


def pareto(cost: Floats, error: Floats) -> Bools:
    """Which points no other point beats: none is at most as dear and at most as wrong, and better in one.

    `cost`, `error`: [m], any order. Equal points are all kept. Returns [m].
    """
    order = np.lexsort((error, cost))
    best_before = np.inf
    kept = np.zeros(cost.size, dtype=np.bool_)
    last = (np.nan, np.nan)
    for index in order:
        point = (float(cost[index]), float(error[index]))
        if point[1] < best_before or point == last:
            kept[index], best_before, last = True, point[1], point
    return kept


def budget_grid(costs: Sequence[Floats]) -> Floats:
    """Budgets evenly spaced in log C, where curves can be compared without extrapolating any of them.

    From the cheapest point of any curve to the smallest of their largest costs; empty where that is no range.
    """
    low = min(float(cost[0]) for cost in costs)
    high = min(float(cost[-1]) for cost in costs)
    if high <= low:
        return np.empty(0)
    return np.geomspace(low, high, 1 + int(np.ceil(BUDGETS_PER_DECADE * np.log10(high / low))))


def error_at(curve_cost: Floats, errors: Floats, grid: Floats) -> Floats:
    """Errors ([rows, m]) interpolated linearly in log C at `grid` ([g]): [rows, g].

    Infinite below the curve's first cost, where the policy cannot be had. `grid` must not exceed the last.
    """
    position = np.interp(np.log(grid), np.log(curve_cost), np.arange(curve_cost.size))
    left = np.minimum(position.astype(np.int64), curve_cost.size - 2)
    share = position - left
    result: Floats = errors[:, left] * (1.0 - share) + errors[:, left + 1] * share
    # Relative slack, so that a grid that starts at this very cost includes it.
    result[:, grid < curve_cost[0] * (1.0 - 1e-12)] = np.inf
    return result


def policy_frontier(curves: Sequence[MeasuredCurve]) -> PolicyFrontier | None:
    """The best of `curves` at each budget, for the measured curves and for every bootstrap draw.

    The curves must share their draws. Ties go to the first curve, so pass them from small to large.
    None where curves have fewer than two points, or no budget at which they can be compared.
    """
    if any(curve.cost.size < 2 for curve in curves):
        return None
    grid = budget_grid([curve.cost for curve in curves])
    if grid.size == 0:
        return None
    errors = np.stack([error_at(c.cost, np.vstack([c.error, c.draws]), grid) for c in curves])
    best = errors.argmin(axis=0)
    probability = np.stack([(best[1:] == policy).mean(axis=0) for policy in range(len(curves))])
    return PolicyFrontier(grid, best[0], best[1:], probability)
