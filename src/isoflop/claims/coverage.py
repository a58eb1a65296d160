"""What counts of right samples say of coverage (pass@k): where sizes cross, and how far it can be predicted.

Coverage is the share of problems with a right answer among k samples. Nobody has that answer in practice
without a verifier that finds it, so nothing here is about accuracy.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Self

import numpy as np
import pandas as pd

from isoflop.arrays import Floats, Ints
from isoflop.estimate import Estimate
from isoflop.fits.bootstrap import known_interval, percentile_interval
from isoflop.fits.evidence import Evidence, Series
from isoflop.fits.interpolation import budget_bought
from isoflop.fits.scaling_laws import extrapolate_coverage
from isoflop.selection.best_of_k import missing_probability
from isoflop.strategy import Strategy

COVERAGE = "pass"
ALL = "all"
"""In the column of policies, their mean."""
# A backtest ahead of less than so many times the first samples says little.
LEAST_AHEAD = 4
# Where the first samples of more replicates than this have no right one, the others are a chosen few.
_MOST_WITHOUT_FIT = 0.1
OK, UNDETERMINED = "ok", "undetermined"
# A power law has two parameters; a fit to fewer points is none.
_FEWEST_BUDGETS = 3

FORECAST_COLUMNS = (
    "experiment", "dataset", "policy", "generator", "fitted_to", "budget", "measured", "measured_low",
    "measured_high", "predicted", "predicted_low", "predicted_high", "missed", "missed_low", "missed_high",
    "without_fit", "status",
)  # fmt: skip
CROSSING_COLUMNS = (
    "experiment", "dataset", "generator", "family", "cost_model", "small", "large", "outcome", "flops",
    "flops_low", "flops_high", "small_samples", "large_samples", "crosses", "larger_from_first",
    "smaller_to_end", "level_at_end",
)  # fmt: skip

CROSSES = "curves cross"
LARGER = "the larger from its first sample"
SMALLER = "the smaller up to its last sample"
LEVEL = "neither is ahead in the end"
_SAME = 1e-12


@dataclass(frozen=True)
class Forecast:
    """Coverage with `budget` samples as predicted from the first `fitted_to` of every problem.

    `missed`: predicted minus measured; its interval holds the luck of the problems and of which samples came
    first. `without_fit`: the share of replicates in which the first samples had no right one at all.
    `replicates`: of what was measured and of what was predicted, the measurement first, [1 + draws] each.
    """

    policy: str
    fitted_to: int
    budget: int
    measured: Estimate
    predicted: Estimate
    missed: Estimate
    without_fit: float
    replicates: tuple[Floats, Floats] = field(repr=False)

    @property
    def status(self) -> str:
        """Whether the first samples predict anything."""
        return OK if self.without_fit <= _MOST_WITHOUT_FIT else UNDETERMINED

    @classmethod
    def made(
        cls, policy: str, fitted_to: int, budget: int, replicates: tuple[Floats, Floats], level: float
    ) -> Self:
        """From what was measured and predicted, [1 + draws] each."""
        measured, predicted = replicates
        return cls(
            policy=policy,
            fitted_to=fitted_to,
            budget=budget,
            measured=_estimate(measured, level),
            predicted=_estimate(predicted, level),
            missed=_estimate(predicted - measured, level),
            without_fit=float(np.isnan(predicted[1:]).mean()),
            replicates=replicates,
        )


@dataclass(frozen=True)
class Crossing:
    """Where the coverage of a larger size gets ahead of a smaller one's at equal compute.

    `flops`: per problem, nan unless the measured curves cross within what both were sampled; an end of its
    interval is infinite (0) where that many replicates do not cross because the smaller one, or neither, is
    ahead in the end (the larger one throughout). `small_samples`, `large_samples`: what so much buys.
    `shares`: of the replicates, by outcome.
    """

    small: str
    large: str
    outcome: str
    flops: Estimate
    small_samples: float
    large_samples: float
    shares: Mapping[str, float]


def known_samples(budgets: Sequence[int], most: int) -> int | None:
    """How many samples a backtest may know: no more than `most`, and a `LEAST_AHEAD`th of the largest budget.

    None where so few leave too few of the budgets to fit.
    """
    known = min(most, max(budgets) // LEAST_AHEAD)
    return known if sum(budget <= known for budget in budgets) >= _FEWEST_BUDGETS else None


def forecasts(
    series: Series, counts: tuple[Ints, Ints], evidence: Evidence, fitted_to: int, seed: int
) -> list[Forecast]:
    """A backtest: coverage with all samples by a power law of the first `fitted_to`.

    Parameters
    ----------
    series
        Coverage over budgets.
    counts
        Samples and right ones of every problem, [problems], in the order of the evidence's.
    evidence
        What the series is part of: its bootstrap weights and level.
    fitted_to
        How many samples of each problem are known.
    seed
        Of the subsets of samples.

    Returns
    -------
    One per larger budget; none where there are fewer than three budgets to fit, or none that is at least
    `LEAST_AHEAD` times as large.

    Notes
    -----
    Coverage at k <= `fitted_to` from all n samples is what n samples know. So every replicate draws the right
    ones among the first `fitted_to` samples anew, which given c of n is hypergeometric, and problems with
    them. The value is that of the mean over all such subsets.

    References
    ----------
    Brown et al. 2024, Large Language Monkeys, section 3.1. doi:10.48550/arXiv.2407.21787
    Schaeffer et al. 2025, How Do Large Language Monkeys Get Their Power (Laws)? doi:10.48550/arXiv.2502.17578
    """
    early, late = series.budgets <= fitted_to, series.budgets > fitted_to
    if np.count_nonzero(early) < _FEWEST_BUDGETS or series.budgets[-1] < LEAST_AHEAD * fitted_to:
        return []
    samples, correct = counts
    rng = np.random.default_rng(seed)
    draws = evidence.weights.shape[0]
    first = rng.hypergeometric(correct, samples - correct, fitted_to, size=(draws, correct.size))
    missing = missing_probability(fitted_to, tuple(series.budgets[early].tolist()))
    known = 1.0 - np.einsum("dp,kdp->dk", evidence.weights, missing[:, fitted_to - first])
    curve = np.vstack([series.accuracy[early], known])
    ahead = series.budgets[late]
    predicted = extrapolate_coverage(series.budgets[early], curve, ahead)
    measured = evidence.drawn @ series.credits[late].T
    return [
        Forecast.made(
            series.policy, fitted_to, budget, (measured[:, place], predicted[:, place]), evidence.level
        )
        for place, budget in enumerate(ahead.tolist())
    ]


def mean_forecasts(found: Sequence[Sequence[Forecast]], level: float) -> list[Forecast]:
    """The mean of several policies at every budget that all of them were predicted at.

    Parameters
    ----------
    found
        The forecasts of each policy, with the same replicates of the problems.
    level
        Of the intervals.

    Returns
    -------
    None for fewer than two policies that the first samples predict anything of. A replicate counts where
    every policy has a fit in it.
    """
    by_budget = [{one.budget: one for one in policy} for policy in found if policy[0].status == OK]
    if len(by_budget) < 2:
        return []
    return [
        Forecast.made(
            ALL,
            first.fitted_to,
            budget,
            (
                np.mean([policy[budget].replicates[0] for policy in by_budget], axis=0),
                np.mean([policy[budget].replicates[1] for policy in by_budget], axis=0),
            ),
            level,
        )
        for budget, first in by_budget[0].items()
        if all(budget in policy for policy in by_budget)
    ]


def _estimate(draws: Floats, level: float) -> Estimate:
    """Of draws, [1 + draws], nan where there is none."""
    if np.isnan(draws[1:]).all():
        return Estimate(float(draws[0]), float("nan"), float("nan"))
    return Estimate(float(draws[0]), *known_interval(draws[1:], level))


def crossing(small: Series, large: Series, evidence: Evidence, cost: str) -> Crossing | None:
    """Where the larger size gets ahead for good, within the compute that both were measured at.

    Parameters
    ----------
    small, large
        Coverage of two sizes.
    evidence
        What they are part of.
    cost
        The cost model.

    Returns
    -------
    None where one sample of the larger costs more than all of the smaller. Curves are lines in the logarithm
    of compute between budgets.
    """
    lasts = small.costs[cost][-1], large.costs[cost][-1]
    start, end = max(small.costs[cost][0], large.costs[cost][0]), min(lasts)
    if end <= start:
        return None
    costs = np.concatenate([small.costs[cost], large.costs[cost], [start, end]])
    grid = np.unique(costs[(costs >= start) & (costs <= end)])
    ahead = np.array([_bought(small, one, cost) - _bought(large, one, cost) for one in grid.tolist()])
    places = _last_fall(np.log(grid), evidence.drawn @ ahead.T)
    shares = {
        CROSSES: float(np.isfinite(places[1:]).mean()),
        LARGER: float((places[1:] == -np.inf).mean()),
        SMALLER: float((places[1:] == np.inf).mean()),
        LEVEL: float(np.isnan(places[1:]).mean()),
    }
    ends = {-np.inf: LARGER, np.inf: SMALLER}
    outcome = LEVEL if np.isnan(places[0]) else ends.get(float(places[0]), CROSSES)
    # Where neither is ahead in the end, the larger never gets ahead for good.
    never = np.where(np.isnan(places[1:]), np.inf, places[1:])
    low, high = percentile_interval(np.exp(never), evidence.level)
    at = float(np.exp(places[0])) if outcome == CROSSES else float("nan")
    bought = [budget_bought(at, one.costs[cost], one.budgets) for one in (small, large)]
    flops = Estimate(at, low, high)
    return Crossing(small.policy, large.policy, outcome, flops, bought[0], bought[1], shares)


def _bought(series: Series, flops: float, cost: str) -> Floats:
    found = series.at_cost(flops, cost)
    assert found is not None  # within what was measured
    return found


def _last_fall(x: Floats, ahead: Floats) -> Floats:
    """Where each row of `ahead`, [rows, g], falls to 0 for the last time, on lines between x, [g].

    -inf where it is above 0 nowhere, inf where it still is at the end, nan where it never is below 0 after.
    """
    above, below = ahead > _SAME, ahead < -_SAME
    last = x.size - 1 - np.argmax(above[:, ::-1], axis=1)
    rows = np.arange(ahead.shape[0])
    after = np.minimum(last + 1, x.size - 1)
    before_value, after_value = ahead[rows, last], ahead[rows, after]
    span = np.where(before_value > after_value, before_value - after_value, 1.0)
    places = x[last] + (x[after] - x[last]) * before_value / span
    places[above[:, -1]] = np.inf
    places[~above.any(axis=1)] = -np.inf
    # The last one below 0 comes after the last one above it, or there is none.
    latest = np.where(below.any(axis=1), x.size - 1 - np.argmax(below[:, ::-1], axis=1), -1)
    places[~above[:, -1] & (latest < np.where(above.any(axis=1), last, 0))] = np.nan
    result: Floats = places
    return result


def crossings(
    evidence: Evidence,
    generator: str,
    parameters: Mapping[str, int],
    families: Mapping[str, str],
    costs: Sequence[str],
) -> Iterator[tuple[str, str, Crossing]]:
    """The crossings of every two sizes of a family, with the family and the cost model."""
    strategy = Strategy(generator, COVERAGE)
    ordered = sorted(parameters, key=lambda name: parameters[name])
    for cost in costs:
        known = evidence.under(cost)
        found = (known.get(policy, strategy) for policy in ordered)
        for small, large in combinations((series for series in found if series is not None), 2):
            family = families.get(small.policy, "all")
            others = families.get(large.policy, "all")
            if parameters[small.policy] == parameters[large.policy] or family != others:
                continue
            where = crossing(small, large, evidence, cost)
            if where is not None:
                yield family, cost, where


def forecast_rows(found: Sequence[Forecast], experiment: str, dataset: str, generator: str) -> pd.DataFrame:
    """Rows of `coverage_forecast.csv`: the forecasts of one generator."""
    rows = [
        [
            experiment, dataset, one.policy, generator, str(one.fitted_to), str(one.budget),
            *map(_six, (*_parts(one.measured), *_parts(one.predicted), *_parts(one.missed))),
            _six(one.without_fit), one.status,
        ]
        for one in found
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(FORECAST_COLUMNS))


def crossing_rows(
    found: Sequence[tuple[str, str, Crossing]], experiment: str, dataset: str, generator: str
) -> pd.DataFrame:
    """Rows of `coverage_crossings.csv`; cells are empty where curves do not cross."""
    rows = [
        [
            experiment, dataset, generator, family, cost, one.small, one.large, one.outcome,
            *(_number(value) for value in (*_parts(one.flops), one.small_samples, one.large_samples)),
            *(_six(one.shares[name]) for name in (CROSSES, LARGER, SMALLER, LEVEL)),
        ]
        for family, cost, one in found
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(CROSSING_COLUMNS))


def _parts(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.low, estimate.high


def _six(value: float) -> str:
    return "" if np.isnan(value) else f"{value + 0.0:.6f}"


def _number(value: float) -> str:
    return f"{value:.6g}" if np.isfinite(value) and value > 0.0 else ""
