"""Which policy a compute budget should buy: frontiers of measured curves, with bootstrap probabilities.

Where the best policy changes, two things can have happened. Either two measured curves **crossed**; or the
larger model was better from the cheapest point at which it was measured, and the change lies where one answer
of it becomes affordable. The latter is an **entry price**: it follows from the sizes alone and says nothing
of how sizes trade against samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isoflop.arrays import Bools, Floats, Ints

BUDGETS_PER_DECADE = 40
# So that a grid point that is a curve's first cost includes it.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class MeasuredCurve:
    """Error against cost of one policy.

    Attributes
    ----------
    cost
        FLOPs, increasing, [m].
    error
        In [0, 1], [m].
    draws
        The error in every bootstrap replicate, [draws, m].
    """

    cost: Floats
    error: Floats
    draws: Floats


@dataclass(frozen=True)
class PolicyFrontier:
    """The policy of least error at each budget.

    Attributes
    ----------
    cost
        FLOPs, [g].
    best
        Index of the policy, [g].
    draws
        The same per bootstrap replicate, [draws, g].
    probability
        The share of replicates in which each policy is best, [policies, g]; columns sum to 1.
    prices
        Whether each policy is the best of all at the first cost at which it was measured, as measured and per
        replicate, [1 + draws, policies]: a change to it is then an entry price, not a crossing.
    """

    cost: Floats
    best: Ints
    draws: Ints
    probability: Floats
    prices: Bools


def pareto(cost: Floats, error: Floats) -> Bools:
    """Which points no other point beats: none costs and errs at most as much, and less in one.

    Parameters
    ----------
    cost, error
        [m], any order.

    Returns
    -------
    [m]; equal points are all kept.
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


def budget_grid(costs: Sequence[Floats], *, ended: bool = False) -> Floats:
    """Budgets evenly spaced in log C, where curves can be compared without extrapolating any of them.

    Parameters
    ----------
    costs
        FLOPs of each curve's points, increasing.
    ended
        Whether budgets go on where curves have ended.

    Returns
    -------
    [g] in FLOPs, from the cheapest point of any curve to the smallest of their largest costs (with `ended`
    the largest); empty where that is no range. The cheapest point of every curve within the range is a budget
    too, and with `ended` so is its last.
    """
    firsts = [float(cost[0]) for cost in costs]
    low, high = min(firsts), (max if ended else min)(float(cost[-1]) for cost in costs)
    if high <= low:
        return np.empty(0)
    even = np.geomspace(low, high, 1 + int(np.ceil(BUDGETS_PER_DECADE * np.log10(high / low))))
    marks = [*firsts, *(float(cost[-1]) for cost in costs if ended)]
    return np.union1d(even, [mark for mark in marks if low < mark < high])


def error_at(curve_cost: Floats, errors: Floats, grid: Floats) -> Floats:
    """Errors interpolated linearly in log C.

    Parameters
    ----------
    curve_cost
        FLOPs, increasing, [m].
    errors
        [rows, m].
    grid
        FLOPs, [g].

    Returns
    -------
    [rows, g]; infinite below the curve's first cost, where the policy is not affordable; beyond its last what
    that has, for compute can be left unspent.
    """
    position = np.interp(np.log(grid), np.log(curve_cost), np.arange(curve_cost.size))
    left = np.minimum(position.astype(np.int64), curve_cost.size - 2)
    share = position - left
    result: Floats = errors[:, left] * (1.0 - share) + errors[:, left + 1] * share
    result[:, grid < curve_cost[0] * (1.0 - _ROUNDING)] = np.inf
    return result


def policy_frontier(curves: Sequence[MeasuredCurve], *, ended: bool = False) -> PolicyFrontier | None:
    """The best of `curves` at each budget, for the measured curves and for every bootstrap replicate.

    Parameters
    ----------
    curves
        Of one family, from small to large, with the same replicates. Ties go to the first.
    ended
        Whether a curve that has ended behind another is taken to stay behind, so that budgets go on to where
        the best one ends. Otherwise they end with the first curve that does.

    Returns
    -------
    None where a curve has fewer than two points, or no budget at which they can be compared.

    Notes
    -----
    With 10,000 samples of each size the smallest one's curve ends where a large one has a few dozen: without
    `ended` the crossings of the large ones are not seen. A small size that were measured further could be
    ahead again only if its curve turned upwards against the others'.

    References
    ----------
    Wu et al. 2024, Inference Scaling Laws, Figure 1. doi:10.48550/arXiv.2408.00724
    """
    if any(curve.cost.size < 2 for curve in curves):
        return None
    grid = budget_grid([curve.cost for curve in curves], ended=ended)
    if grid.size == 0:
        return None
    errors = np.stack([error_at(c.cost, np.vstack([c.error, c.draws]), grid) for c in curves])
    if ended:
        lasts = np.array([float(curve.cost[-1]) for curve in curves])
        beyond = grid > lasts[errors[:, 0].argmin(axis=0)] * (1.0 + _ROUNDING)
        kept = int(np.argmax(beyond)) if beyond.any() else grid.size
        grid, errors = grid[:kept], errors[:, :, :kept]
    best = errors.argmin(axis=0)
    probability = np.stack([(best[1:] == policy).mean(axis=0) for policy in range(len(curves))])
    prices = np.zeros((best.shape[0], len(curves)), dtype=np.bool_)
    for policy, curve in enumerate(curves):
        entered = int(np.searchsorted(grid, curve.cost[0] * (1.0 - _ROUNDING)))
        if entered < grid.size:
            prices[:, policy] = best[:, entered] == policy
    return PolicyFrontier(grid, best[0], best[1:], probability, prices)


def with_single(curve: MeasuredCurve, single: MeasuredCurve) -> MeasuredCurve:
    """The curve of a policy that may also answer by `single`: the better of the two at every cost.

    Parameters
    ----------
    curve
        Of the policy.
    single
        One point, such as greedy decoding, with the same replicates.

    Returns
    -------
    A curve at the costs of both.
    """
    cost = np.union1d(curve.cost, single.cost)

    def better(errors: Floats, alone: Floats) -> Floats:
        reachable = np.where(cost >= single.cost[0] * (1.0 - _ROUNDING), alone, np.inf)
        if curve.cost.size == 1:
            rest = np.where(cost >= curve.cost[0] * (1.0 - _ROUNDING), errors, np.inf)
        else:
            within = np.minimum(cost, curve.cost[-1])
            rest = error_at(curve.cost, errors, within)
        result: Floats = np.minimum(reachable, rest)
        return result

    return MeasuredCurve(
        cost, better(curve.error[None], single.error[None])[0], better(curve.draws, single.draws)
    )
