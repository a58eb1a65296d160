"""Pretraining against samples: the compute of both on one axis (the question of Snell et al. 2024, Figure 9).

A model that was trained on D tokens took 6 N D FLOPs before its first answer. Over Q problems that it is
asked in its life, k samples of each take Q times what they cost. At equal sums of both, models that were
trained longer, or are larger, have fewer samples.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from isoflop.arrays import Floats
from isoflop.claims.coverage import COVERAGE
from isoflop.estimate import Estimate
from isoflop.fits.bootstrap import percentile_interval
from isoflop.fits.evidence import Evidence, Series
from isoflop.fits.interpolation import budget_bought
from isoflop.strategy import Strategy

# Forward and backward pass over a token of pretraining, per parameter (Kaplan et al. 2020).
TRAINING_FLOPS = 6.0
_PER_DECADE = 10

PRETRAINING_COLUMNS = (
    "experiment", "dataset", "generator", "cost_model", "problems", "flops", "policy", "parameters", "tokens",
    "samples", "inference_share", "coverage", "coverage_low", "coverage_high", "probability", "ended",
)  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """A policy with what its pretraining took. `flops`: 6 N D. `tokens`: D."""

    series: Series
    parameters: int
    tokens: float

    @property
    def flops(self) -> float:
        """6 N D."""
        return TRAINING_FLOPS * self.parameters * self.tokens


@dataclass(frozen=True)
class Best:
    """The policy with the highest coverage at one sum of pretraining and answering `problems` problems.

    `samples`: per problem, what is left after its pretraining; `ended`: it was measured with fewer, and could
    have more coverage. `coverage`: its own, with the interval over problems. `probability`: the share of
    replicates in which it is the best. `spent`: FLOPs of its answers to all problems.
    """

    problems: float
    flops: float
    trained: Trained
    samples: float
    coverage: Estimate
    probability: float
    ended: bool
    spent: float

    @property
    def inference_share(self) -> float:
        """The share of pretraining and answers together that answers take; unspent compute is neither."""
        return self.spent / (self.trained.flops + self.spent)


def best_trained(
    trained: Sequence[Trained], evidence: Evidence, cost: str, problems: float
) -> Iterator[Best]:
    """The best policy over a grid of compute, ten sums per factor of ten.

    Parameters
    ----------
    trained
        Policies of which coverage was measured, with their pretraining.
    evidence
        What their series are part of: bootstrap weights and level.
    cost
        The cost model of answers.
    problems
        How many problems a model answers in its life.

    Returns
    -------
    One per sum, from the cheapest policy with one sample to the largest sum that was measured. Beyond its
    last sample a policy keeps the coverage of that.
    """
    firsts = [one.flops + problems * float(one.series.costs[cost][0]) for one in trained]
    lasts = [one.flops + problems * float(one.series.costs[cost][-1]) for one in trained]
    low, high = min(firsts), max(lasts)
    for flops in np.geomspace(low, high, 1 + int(np.ceil(_PER_DECADE * np.log10(high / low)))).tolist():
        credits = [_bought(one, flops, cost, problems) for one in trained]
        have = [place for place, credit in enumerate(credits) if credit is not None]
        draws = np.array([evidence.drawn @ credit for credit in credits if credit is not None])
        if not have:
            continue
        winner = int(draws[:, 0].argmax())
        best = trained[have[winner]]
        per_problem = (flops - best.flops) / problems
        costs = best.series.costs[cost]
        yield Best(
            problems=problems,
            flops=flops,
            trained=best,
            samples=budget_bought(per_problem, costs, best.series.budgets),
            coverage=Estimate(
                float(draws[winner, 0]), *percentile_interval(draws[winner, 1:], evidence.level)
            ),
            probability=float((draws[:, 1:].argmax(axis=0) == winner).mean()),
            ended=per_problem > costs[-1] * (1 + 1e-9),
            spent=problems * min(per_problem, float(costs[-1])),
        )


def _bought(one: Trained, flops: float, cost: str, problems: float) -> Floats | None:
    left = (flops - one.flops) / problems
    return one.series.at_cost(left, cost) if left > 0 else None


def trained_policies(
    evidence: Evidence, generator: str, parameters: Mapping[str, int], tokens: Mapping[str, float]
) -> list[Trained]:
    """The policies whose coverage, size and pretraining are known."""
    strategy = Strategy(generator, COVERAGE)
    found = ((name, evidence.get(name, strategy)) for name in tokens if name in parameters)
    return [Trained(series, parameters[name], tokens[name]) for name, series in found if series is not None]


def pretraining_rows(
    found: Sequence[Best], experiment: str, dataset: str, generator: str, cost: str
) -> pd.DataFrame:
    """Rows of `coverage_pretraining.csv`."""
    rows = [
        [
            experiment, dataset, generator, cost, f"{one.problems:.6g}", f"{one.flops:.6g}",
            one.trained.series.policy, str(one.trained.parameters), f"{one.trained.tokens:.6g}",
            f"{one.samples:.6g}", f"{one.inference_share:.6f}",
            *(f"{value + 0.0:.6f}" for value in (one.coverage.value, one.coverage.low, one.coverage.high)),
            f"{one.probability:.6f}", str(one.ended).lower(),
        ]
        for one in found
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(PRETRAINING_COLUMNS))
