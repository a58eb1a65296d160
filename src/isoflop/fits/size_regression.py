"""The law of the best size: least squares of log compute on log size where curves of two sizes cross."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from isoflop.arrays import Bools, Floats
from isoflop.fits.fitting import MINIMUM_R_SQUARED, MOST_DRAWS_AT_BOUND, NO_WIDTH, Fit, estimates_of

FEWEST_CROSSINGS = 3


def fit_optimal_size(
    cost: ArrayLike,
    size: ArrayLike,
    draws: ArrayLike,
    level: float,
    *,
    priced: Mapping[float, Bools] | None = None,
    never_best: Sequence[str] = (),
) -> Fit:
    """log10 C = alpha log10 N + beta where curves of two sizes cross.

    Parameters
    ----------
    cost
        C, the grid of budgets in FLOPs, [g].
    size
        N, parameters of the best policy at each, [g].
    draws
        The same per bootstrap replicate, [draws, g].
    level
        Confidence of intervals, in (0, 1).
    priced
        For a size, in which rows ([1 + draws], the measurement first) a change to it is an entry price and no
        crossing (isoflop.fits.frontier).
    never_best
        Policies that the note names.

    Returns
    -------
    Parameters alpha, beta; `points` counts crossings. Replicates with fewer than two have no slope: their
    `draws` are NaN, and they are in no interval.

    Notes
    -----
    With a few sizes the best one is a staircase in C. Where the grid begins and ends says nothing of the law,
    nor does a step at an entry price, so only crossings count: least squares of log10 C at each on the mean
    log10 N of the sizes before and after. Where two sizes change places back and forth, as near a tie, that
    is one crossing, at the mean log10 C. The paper has alpha = 1.19 and beta = 2.03.

    References
    ----------
    Wu et al. 2024, Inference Scaling Laws, section 4.2. doi:10.48550/arXiv.2408.00724
    """
    name = "optimal_size"
    y = np.log10(np.asarray(cost, dtype=np.float64))
    sizes = np.log10(np.vstack([np.asarray(size, dtype=np.float64), np.asarray(draws, dtype=np.float64)]))
    at_size, at_budget, changes, at_price = _size_changes(y, sizes, priced or {})
    count = int(np.count_nonzero(changes[0]))
    parts = [f"{count} crossing{'' if count == 1 else 's'} over {y.size} budgets"]
    if at_price:
        parts.append(f"changes at entry prices, which do not count: {at_price}")
    if never_best:
        parts.append("never best: " + ", ".join(never_best))
    if count < FEWEST_CROSSINGS:
        return Fit(name, "too few crossings", "; ".join(parts), count)
    alphas, betas = _lines(at_size, at_budget, changes)
    solved = np.isfinite(alphas[1:])
    if np.count_nonzero(solved) < 2:
        return Fit(name, "failed", "nearly no bootstrap draw has two crossings", count)
    unsolved = 1.0 - float(solved.mean())
    if unsolved > 0.0:
        parts.append(f"{unsolved:.1%} of the draws have fewer than two crossings and no slope")
    alpha, beta = float(alphas[0]), float(betas[0])
    x, steps = at_size[changes[0]], at_budget[0][changes[0]]
    residuals = steps - alpha * x - beta
    r_squared = 1.0 - float(residuals @ residuals / np.sum((steps - steps.mean()) ** 2))
    kept = {"alpha": alphas[1:][solved], "beta": betas[1:][solved]}
    estimates = estimates_of({"alpha": alpha, "beta": beta}, kept, level)
    slope = estimates["alpha"]
    if unsolved > MOST_DRAWS_AT_BOUND or slope.low <= 0.0:
        status = "undetermined"
        parts.append("the sign of alpha is not determined")
    elif slope.high - slope.low <= NO_WIDTH * abs(alpha):
        status = "undetermined"
        parts.append("all draws have the same slope: nothing measured enters it")
    else:
        status = "ok" if r_squared >= MINIMUM_R_SQUARED else "poor fit"
    drawn = {"alpha": alphas[1:], "beta": betas[1:]}
    return Fit(name, status, "; ".join(parts), count, True, estimates, r_squared, None, x, residuals, drawn)


def _size_changes(
    y: Floats, sizes: Floats, priced: Mapping[float, Bools]
) -> tuple[Floats, Floats, Bools, int]:
    """Where the best size changes at a crossing, by the mean of the two sizes.

    `y`: log10 budgets, [g]; `sizes`: log10 of the best size, [rows, g]. Returns the means of log10 sizes
    ([p], increasing), the mean log10 budget of a row's crossings at each ([rows, p]), whether there is one,
    and how many pairs of sizes change at an entry price in the first row.
    """
    changed = np.diff(sizes, axis=1) != 0.0
    larger = np.maximum(sizes[:, 1:], sizes[:, :-1])
    price = np.zeros_like(changed)
    for size, rows in priced.items():
        price |= changed & np.isclose(larger, np.log10(size)) & rows[:, None]
    middle = ((sizes[:, 1:] + sizes[:, :-1]) / 2.0).round(9)
    at_price = int(np.unique(middle[0][price[0]]).size)
    changed &= ~price
    at_size = np.unique(middle[changed])
    budgets = (y[1:] + y[:-1]) / 2.0
    at_budget = np.zeros((sizes.shape[0], at_size.size))
    present = np.zeros(at_budget.shape, dtype=np.bool_)
    for column, size in enumerate(at_size):
        crossed = changed & (middle == size)
        count = crossed.sum(axis=1)
        present[:, column] = count > 0
        at_budget[:, column] = (crossed @ budgets) / np.maximum(count, 1)
    return at_size, at_budget, present, at_price


def _lines(x: Floats, y: Floats, chosen: Bools) -> tuple[Floats, Floats]:
    """Slope and intercept of every row of y ([rows, p]) on x ([p]) where `chosen`; else NaN."""
    count = np.maximum(chosen.sum(axis=1, keepdims=True), 1)
    x_mean = (x * chosen).sum(axis=1, keepdims=True) / count
    y_mean = (y * chosen).sum(axis=1, keepdims=True) / count
    spread = (chosen * (x - x_mean) ** 2).sum(axis=1)
    shared = (chosen * (x - x_mean) * (y - y_mean)).sum(axis=1)
    slope = np.where(spread > 1e-12, shared / np.where(spread > 1e-12, spread, 1.0), np.nan)
    return slope, y_mean[:, 0] - slope * x_mean[:, 0]
