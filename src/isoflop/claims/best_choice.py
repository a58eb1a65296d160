"""The best choice at a compute budget, chosen on other problems than it is measured on.

The most accurate of many measured choices is ahead of its own true accuracy: it was picked for its luck too.
So the choice is made on half of the problems and measured on the other half, both ways, over many splits
(isoflop.allocation.compute_optimal, with one bin). Every strategy, step aggregation and budget that can be
used in practice is an option. Beside it stands the best greedy answer at the same budget, chosen in the same
way.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from isoflop.allocation.compute_optimal import Chosen, choose
from isoflop.arrays import Bools, Floats
from isoflop.estimate import Estimate
from isoflop.fits.bootstrap import percentile_interval
from isoflop.fits.evidence import Evidence, Series
from isoflop.seeds import derive_seed
from isoflop.strategy import NONE, Strategy

# Where in the measured range of compute (on a logarithmic scale) the three budgets of the headline lie.
BUDGET_PLACES = (("low", 1 / 3), ("middle", 2 / 3), ("high", 1.0))
_SPLITS = 20
_ORACLE = "pass"


class Picked(NamedTuple):
    """A choice: one strategy of one policy at one budget."""

    policy: str
    strategy: Strategy
    budget: int


@dataclass(frozen=True)
class BestChoice:
    """One budget. `options`: how many choices it can pay. `accuracy`: of choosing, on held-out problems.

    `most_often`, `share`: the choice made in the largest share of splits. `greedy`: the greedy answer chosen
    most often, and `over_greedy` what choosing among all is ahead of choosing among those; None where the
    budget buys none, or nothing else. `shares`, `greedy_shares`: of the splits that made each choice, by
    policy, strategy and budget.
    """

    name: str
    budget: float
    options: int
    accuracy: Estimate
    most_often: str
    share: float
    greedy: str = ""
    over_greedy: Estimate | None = None
    shares: Mapping[Picked, float] = field(default_factory=dict)
    greedy_shares: Mapping[Picked, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Option:
    series: Series
    index: int

    @property
    def label(self) -> str:
        """`policy-0.9M with weighted voting over 8 samples`, the aggregation where there is one."""
        strategy, budget = self.series.strategy, int(self.series.budgets[self.index])
        if strategy.selector == NONE:
            return f"{self.series.policy} decoding greedily"
        if budget == 1:
            return f"{self.series.policy} with one answer ({strategy.generator})"
        how = "" if strategy.step_aggregation == NONE else f" ({strategy.step_aggregation})"
        return f"{self.series.policy} with {strategy.name}{how} over {budget} answers ({strategy.generator})"


def best_choices(
    evidence: Evidence, policies: Sequence[str], cost: str, seed: int, *, without: Collection[str] = ()
) -> Iterator[BestChoice]:
    """The choice at three budgets over the measured range of the cost model `cost`.

    Policies in their order; `without`: generators whose cost is known in part only. A single problem allows
    no split, and nothing is told, nor where nobody knows that cost.
    """
    evidence = evidence.under(cost)
    options = [
        _Option(series, index)
        for policy in policies
        for (owner, strategy), series in evidence.series.items()
        if owner == policy and strategy.selector != _ORACLE and "/" not in strategy.generator
        if strategy.generator not in without
        for index in range(series.budgets.size)
    ]
    if evidence.count < 2 or not options:
        return
    prices = np.array([option.series.costs[cost][option.index] for option in options])
    greedy = np.array([option.series.strategy.selector == NONE for option in options])
    low, high = float(prices.min()), float(prices.max())
    budgets = np.array([high if share == 1.0 else low * (high / low) ** share for _, share in BUDGET_PLACES])
    payable = prices[None] <= budgets[:, None] * (1 + 1e-9)
    credits = np.array([option.series.credits[option.index] for option in options])
    seed = derive_seed("best choice", seed, evidence.dataset) % 2**31
    free = _chosen(evidence, credits, prices, payable, seed)
    buys = (payable & greedy).any(axis=1)
    single = _chosen(evidence, credits, prices, payable[buys] & greedy, seed) if buys.any() else None
    for row, (name, _) in enumerate(BUDGET_PLACES):
        shares = free.shares[0, row]
        best = int(shares.argmax())
        choice = BestChoice(
            name=name,
            budget=float(budgets[row]),
            options=int(payable[row].sum()),
            accuracy=_estimate(free.accuracy[row], evidence),
            most_often=options[best].label,
            share=float(shares[best]),
            shares=_by_choice(options, shares),
        )
        if single is not None and buys[row] and (payable[row] & ~greedy).any():
            index = int(buys[: row + 1].sum()) - 1
            ahead = free.accuracy[row] - single.accuracy[index]
            choice = replace(
                choice,
                greedy=options[int(single.shares[0, index].argmax())].label,
                over_greedy=_estimate(ahead, evidence),
                greedy_shares=_by_choice(options, single.shares[0, index]),
            )
        yield choice


def _estimate(draws: Floats, evidence: Evidence) -> Estimate:
    """Of draws, [1 + draws], with the percentiles' interval, but no certainty from so many problems.

    That is what half a problem at either end of [-1, 1] and one at 0 leave where all problems agree.
    """
    low, high = percentile_interval(draws[1:], evidence.level)
    half = float(ndtri(0.5 + evidence.level / 2)) / (evidence.count + 2)
    value = float(draws[0])
    return Estimate(value, min(low, value - half), max(high, value + half))


def _by_choice(options: Sequence[_Option], shares: Floats) -> dict[Picked, float]:
    return {
        Picked(option.series.policy, option.series.strategy, int(option.series.budgets[option.index])): float(
            share
        )
        for option, share in zip(options, shares, strict=True)
        if share > 0
    }


def _chosen(evidence: Evidence, credits: Floats, prices: Floats, payable: Bools, seed: int) -> Chosen:
    costs = np.broadcast_to(prices[:, None], credits.shape)
    bins = np.ones(evidence.count, dtype=np.int64)
    return choose(credits, costs, payable, bins, evidence.weights, splits=_SPLITS, seed=seed)
