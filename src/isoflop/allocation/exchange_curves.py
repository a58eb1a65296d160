"""The small model of a pair over its compute, per difficulty bin of the pair (Snell et al. 2024, Figure 9).

What `isoflop.allocation.exchange_study` tells at the budgets of every R, at all budgets that its baseline
has, so that the larger model can be set beside a curve.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from isoflop.allocation.choice import choose_in_views
from isoflop.allocation.exchange_study import ToldBy, exchange_costs, pair_bins, pair_members, pair_seed
from isoflop.allocation.options import affordable
from isoflop.allocation.study import Pair, Studied
from isoflop.arrays import Floats
from isoflop.fits.bootstrap import known_interval
from isoflop.fits.curves import fraction, number
from isoflop.registries import COST_MODELS
from isoflop.specs import AllocateSpec, ExchangePair

COLUMNS = (
    "experiment", "dataset", "small", "large", "family", "cost_model", "difficulty", "told_by", "bin",
    "budget", "spent", "accuracy", "ci_low", "ci_high",
)  # fmt: skip
# The bins that figures draw.
_KIND = "oracle"


@dataclass(frozen=True)
class PairCurve:
    """The small model's choice. `budgets`: FLOPs per problem, increasing; `spent`: what the choice took,
    [budgets]. `by_bin`: accuracy, [bins, budgets, 1 + draws], bins named by `names`."""

    dataset: str
    small_policy: str
    large_policy: str
    family: str
    cost_model: str
    told_by: ToldBy
    names: Sequence[int]
    budgets: Floats
    spent: Floats
    by_bin: Floats


def pair_curves(studied: Sequence[Studied], pairs: Sequence[Pair], spec: AllocateSpec) -> list[PairCurve]:
    """The curve of every pair and family under both costs, in oracle bins."""
    by_name = {(pair.dataset, pair.policy): pair for pair in pairs}
    found: list[PairCurve] = []
    for match in spec.exchange:
        for one in studied:
            other = by_name.get((one.dataset, match.large))
            if one.policy == match.small and other is not None:
                found += _curves(one, by_name[one.dataset, one.policy], other, match, spec)
    return found


def _curves(
    one: Studied, own: Pair, other: Pair, match: ExchangePair, spec: AllocateSpec
) -> Iterator[PairCurve]:
    members = pair_members(one, own, match)
    for how, told_by in pair_bins(own, other, members, spec.bins):
        if how.kind != _KIND:
            continue
        # The budgets of the baseline, and the greedy answer's, where the choice begins.
        marked = np.concatenate([how.options.of(name) for name in (one.baseline, match.greedy)])
        for cost in exchange_costs(spec.costs):
            axis = COST_MODELS[cost].column
            budgets = np.unique(how.options.costs[axis][marked].mean(axis=1))
            payable = affordable(how.options, axis, budgets)
            seed = pair_seed(one, other, spec)
            chosen = choose_in_views(how, axis, payable, one.weights, splits=spec.splits, seed=seed)
            yield PairCurve(
                dataset=one.dataset,
                small_policy=one.policy,
                large_policy=other.policy,
                family=one.family,
                cost_model=cost,
                told_by=told_by,
                names=how.names,
                budgets=budgets,
                spent=chosen.cost[:, 0],
                by_bin=chosen.by_bin,
            )


def exchange_curves(curves: Sequence[PairCurve], experiment: str, level: float) -> pd.DataFrame:
    """`exchange_curves.csv`: a row per pair, family, cost, bin and budget."""
    rows = []
    for one in curves:
        for place, name in enumerate(one.names):
            for at, (budget, spent) in enumerate(zip(one.budgets.tolist(), one.spent.tolist(), strict=True)):
                accuracy = one.by_bin[place, at]
                low, high = known_interval(accuracy[1:], level)
                rows.append(
                    [
                        experiment, one.dataset, one.small_policy, one.large_policy, one.family,
                        one.cost_model, _KIND, one.told_by, str(name), number(budget), number(spent),
                        *map(fraction, (float(accuracy[0]), low, high)),
                    ]
                )  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))
