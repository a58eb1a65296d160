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
from isoflop.estimate import fraction, number
from isoflop.fits.bootstrap import known_interval
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
    """The small model's choice over its compute.

    Attributes
    ----------
    dataset, small_policy, large_policy, family, cost_model
        Names of what is compared, and how it is priced.
    told_by
        Whose samples the bins are of.
    names
        Of the bins.
    budgets
        FLOPs per problem, increasing, [budgets].
    spent
        What the choice took, FLOPs per problem, [budgets].
    by_bin
        Accuracy, [bins, budgets, 1 + draws].
    """

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
    """The curve of every pair and family under both costs, in oracle bins.

    Parameters
    ----------
    studied
        The small models.
    pairs
        All models.
    spec
        Which are compared.
    """
    by_name = {(pair.dataset, pair.policy): pair for pair in pairs}
    curves: list[PairCurve] = []
    for match in spec.exchange:
        for study in studied:
            large = by_name.get((study.dataset, match.large))
            if study.policy == match.small and large is not None:
                curves += _curves(study, by_name[study.dataset, study.policy], large, match, spec)
    return curves


def _curves(
    study: Studied, small: Pair, large: Pair, match: ExchangePair, spec: AllocateSpec
) -> Iterator[PairCurve]:
    members = pair_members(study, small, match)
    for bins, told_by in pair_bins(small, large, members, spec.bins):
        if bins.kind != _KIND:
            continue
        # The budgets of the baseline, and the greedy answer's, where the choice begins.
        marked = np.concatenate([bins.options.of(name) for name in (study.baseline, match.greedy)])
        for cost in exchange_costs(spec.costs):
            axis = COST_MODELS[cost].column
            budgets = np.unique(bins.options.costs[axis][marked].mean(axis=1))
            payable = affordable(bins.options, axis, budgets)
            seed = pair_seed(study, large, spec)
            chosen = choose_in_views(bins, axis, payable, study.weights, splits=spec.splits, seed=seed)
            yield PairCurve(
                dataset=study.dataset,
                small_policy=study.policy,
                large_policy=large.policy,
                family=study.family,
                cost_model=cost,
                told_by=told_by,
                names=bins.names,
                budgets=budgets,
                spent=chosen.cost[:, 0],
                by_bin=chosen.by_bin,
            )


def exchange_curves(curves: Sequence[PairCurve], experiment: str, level: float) -> pd.DataFrame:
    """`exchange_curves.csv`: a row per pair, family, cost, bin and budget.

    Parameters
    ----------
    curves
        In the order of the table.
    experiment
        Its name.
    level
        Of intervals, in (0, 1).
    """
    rows = []
    for curve in curves:
        for row, name in enumerate(curve.names):
            for column, (budget, spent) in enumerate(
                zip(curve.budgets.tolist(), curve.spent.tolist(), strict=True)
            ):
                accuracy = curve.by_bin[row, column]
                low, high = known_interval(accuracy[1:], level)
                rows.append(
                    [
                        experiment, curve.dataset, curve.small_policy, curve.large_policy, curve.family,
                        curve.cost_model, _KIND, curve.told_by, str(name), number(budget), number(spent),
                        *map(fraction, (float(accuracy[0]), low, high)),
                    ]
                )  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))
