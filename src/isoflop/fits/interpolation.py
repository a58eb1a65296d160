"""Lines over the logarithm of compute, and where they first reach an accuracy.

More compute can always be left unspent, so what a budget reaches is the most that any budget up to it does:
lines are made monotone before they are read backwards. Read forwards they are as measured.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from isoflop.arrays import Floats

# Accuracies that are summed in another order differ by less.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Line:
    """Accuracies over compute.

    Attributes
    ----------
    x
        Log FLOPs per problem, rising, [points].
    draws
        What was measured first and then what each bootstrap replicate gives, [points, 1 + draws].

    Raises
    ------
    ValueError
        For x that falls, or another number of rows.
    """

    x: Floats
    draws: Floats

    def __post_init__(self) -> None:
        if self.x.ndim != 1 or self.x.size != self.draws.shape[0] or np.any(np.diff(self.x) < 0):
            raise ValueError("a line needs rising x and one row of replicates for each")

    def at(self, x: float) -> Floats:
        """Accuracy at `x`, by linear interpolation.

        Parameters
        ----------
        x
            Log FLOPs per problem, within what was measured.

        Returns
        -------
        [1 + draws].
        """
        after = int(np.clip(np.searchsorted(self.x, x), 1, self.x.size - 1)) if self.x.size > 1 else 0
        if after == 0:
            alone: Floats = self.draws[0]
            return alone
        share = (x - self.x[after - 1]) / (self.x[after] - self.x[after - 1])
        result: Floats = (1 - share) * self.draws[after - 1] + share * self.draws[after]
        return result

    def holds(self, x: float) -> bool:
        """Whether a cost is within what was measured.

        Parameters
        ----------
        x
            Log FLOPs per problem.
        """
        return bool(self.x[0] - 1e-9 <= x <= self.x[-1] + 1e-9)

    def first_reached(self, target: Floats) -> Floats:
        """The least x at which the monotone line reaches a target.

        Parameters
        ----------
        target
            An accuracy for each replicate, [1 + draws].

        Returns
        -------
        [1 + draws]. Infinite where it is not reached; the first point's x where that has reached it already,
        which is then an upper bound. What is short by rounding alone is reached.
        """
        target = target - _ROUNDING
        best = np.maximum.accumulate(self.draws, axis=0)
        reached = np.where(best[0] >= target, self.x[0], np.inf)
        for index in range(1, self.x.size):
            before, after = best[index - 1], best[index]
            rising = (before < target) & (after >= target)
            share = np.divide(target - before, after - before, out=np.ones_like(target), where=rising)
            between = self.x[index - 1] + share * (self.x[index] - self.x[index - 1])
            reached = np.where(rising, between, reached)
        return reached

    def reached_between(self, target: Floats) -> tuple[Floats, Floats]:
        """The measured x before and at which the monotone line has reached a target.

        Parameters
        ----------
        target
            An accuracy for each replicate, [1 + draws].

        Returns
        -------
        Before, and at, each [1 + draws]. Where the first point has reached it, both are its x; where none
        has, the last point's and infinite.
        """
        reached = np.maximum.accumulate(self.draws, axis=0) >= target
        first = np.where(reached.any(axis=0), reached.argmax(axis=0), self.x.size)
        before = self.x[np.maximum(first - 1, 0)]
        after = np.where(first < self.x.size, self.x[np.minimum(first, self.x.size - 1)], np.inf)
        return before, after


def budget_bought(cost: float, costs: ArrayLike, budgets: ArrayLike) -> float:
    """How many samples some cost buys: a line in the logarithms of both, flat beyond the ends.

    Parameters
    ----------
    cost
        Per problem.
    costs, budgets
        What was measured, both rising, [points].

    Returns
    -------
    The number, in general not a whole one; nan for a cost of nan.
    """
    return float(np.exp(np.interp(np.log(cost), np.log(costs), np.log(budgets))))


def saved(line: Line, baseline: Line, index: int) -> Floats:
    """How much less compute `line` needs than `baseline` for what that has at one of its points.

    Parameters
    ----------
    line, baseline
        Accuracies of the same problems and replicates over log FLOPs.
    index
        Of the baseline's point.

    Returns
    -------
    log(least compute at which the baseline is there / the same for `line`), [1 + draws], in each replicate
    for what the baseline has in it: positive where compute is saved, 0 for a line against itself, minus
    infinity where `line` does not get there within what was measured. The baseline may be there earlier.
    """
    target = baseline.draws[index]
    log_factor: Floats = baseline.first_reached(target) - line.first_reached(target)
    return log_factor
