"""What was measured on one data set, problem by problem: what every claim and headline is tested on.

A statistic about accuracies is a mean over problems of some vector (a credit, a difference of credits, an
interpolation between two budgets), so tests work on vectors of problems, and one matrix of bootstrap weights
makes all of them paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from isoflop.arrays import Floats, Ints
from isoflop.fits.bootstrap import with_measurement
from isoflop.strategy import Strategy

# A cost that differs by rounding alone is the same.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Series:
    """One strategy of one policy over its budgets.

    Attributes
    ----------
    policy
        Its name.
    strategy
        How one answer comes about.
    budgets
        Rising, [m].
    credits
        Expected correctness, [m, problems].
    costs
        Mean cost per problem by cost model (`wu2024`, `kaplan`, `total` and those that the study asks for),
        [m], rising with the budget; nan where it is not known. Seconds of searches need not rise: see
        `Evidence.under`.
    """

    policy: str
    strategy: Strategy
    budgets: Ints
    credits: Floats
    costs: Mapping[str, Floats]

    @cached_property
    def accuracy(self) -> Floats:
        """Mean credit at each budget, [m]."""
        means: Floats = self.credits.mean(axis=1)
        return means

    def at_budget(self, budget: int) -> Floats | None:
        """Credits at one budget.

        Parameters
        ----------
        budget
            A number of samples.

        Returns
        -------
        [problems]; None where it was not measured.
        """
        indices = np.flatnonzero(self.budgets == budget)
        if not indices.size:
            return None
        credits: Floats = self.credits[indices[0]]
        return credits

    def by_cost(self, model: str) -> "Series":
        """The series by rising cost, which is that of the budgets where these have it.

        Parameters
        ----------
        model
            The cost model, a key of `costs`.
        """
        costs = self.costs[model]
        if (np.diff(costs) >= 0).all():
            return self
        order = np.argsort(costs, kind="stable")
        return replace(
            self,
            budgets=self.budgets[order],
            credits=self.credits[order],
            costs={name: values[order] for name, values in self.costs.items()},
        )

    def at_cost(self, cost: float, model: str) -> Floats | None:
        """Credits that some cost buys.

        Parameters
        ----------
        cost
            Per problem.
        model
            The cost model, a key of `costs`.

        Returns
        -------
        [problems]; None below the cheapest budget.

        Notes
        -----
        Linear in the logarithm of the cost between two budgets; beyond the largest, what that has: more
        compute can be left unspent.
        """
        costs = self.costs[model]
        if cost < costs[0] * (1 - _ROUNDING):
            return None
        after = int(np.searchsorted(costs, cost))
        if after in (0, costs.size):
            end: Floats = self.credits[min(after, costs.size - 1)]
            return end
        share = np.log(cost / costs[after - 1]) / np.log(costs[after] / costs[after - 1])
        between: Floats = (1 - share) * self.credits[after - 1] + share * self.credits[after]
        return between


@dataclass(frozen=True)
class Evidence:
    """All series of one data set.

    Attributes
    ----------
    dataset
        Its name.
    problems
        Identifiers, [problems].
    levels
        Of the problems, [problems], or None where some have none.
    series
        By policy and strategy.
    weights
        Of the bootstrap, [draws, problems].
    level
        Coverage of intervals, in (0, 1).
    """

    dataset: str
    problems: Sequence[str]
    levels: Ints | None
    series: Mapping[tuple[str, Strategy], Series]
    weights: Floats
    level: float

    @property
    def count(self) -> int:
        """The number of problems."""
        return int(self.weights.shape[1])

    @cached_property
    def drawn(self) -> Floats:
        """The weights with those of the measurement before them, [1 + draws, problems]."""
        return with_measurement(self.weights)

    def under(self, cost: str) -> "Evidence":
        """What can be compared at equal cost: series whose cost is known, each by rising cost.

        Parameters
        ----------
        cost
            The cost model.
        """
        known = {
            key: series.by_cost(cost)
            for key, series in self.series.items()
            if np.isfinite(series.costs[cost]).all()
        }
        return replace(self, series=known)

    def get(self, policy: str, strategy: Strategy | None) -> Series | None:
        """One series.

        Parameters
        ----------
        policy
            Its name.
        strategy
            None for one that there is not.

        Returns
        -------
        None where it was not measured.
        """
        return None if strategy is None else self.series.get((policy, strategy))
