"""Compute-optimal choice against a fixed strategy: accuracy, gain and compute saved at every budget.

Snell et al. 2024, sections 5.3 and 6.2 (Figures 4 and 8): one strategy for all problems, the baseline,
against the best one per difficulty bin. Three ways of telling difficulty apart (oracle, predicted, the data
set's own levels) stand beside none, where one strategy is chosen for all problems: what that gains is the
choice's, the rest is difficulty's.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isoflop.bootstrap import subset_means, with_measurement
from isoflop.compute_optimal import Chosen, choose
from isoflop.monotone import Line, saved
from isoflop.options import GENERATIONS, Options, affordable
from isoflop.seeds import derive_seed

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NO_DIFFICULTY = "none"
KINDS = (NO_DIFFICULTY, "level", "predicted", "oracle")

# Options chosen less often than this are not named.
_RARELY = 0.05


@dataclass(frozen=True)
class Bins:
    """One way of telling difficulty apart: bins [problems], and what it costs per problem, by axis."""

    kind: str
    bins: Ints
    charge: Mapping[str, float]


@dataclass(frozen=True)
class ChoiceCurve:
    """The choice and the baseline over the budgets of one axis.

    `targets`: what the baseline spends, [budgets]; `spent`: what the choice does. `accuracy`, `baseline`:
    [budgets, 1 + draws]. `by_bin`, `baseline_by_bin`: [bins, budgets, 1 + draws], bins named by `names`.
    `saved`, `saved_charged`: log of the factor of compute saved at the baseline's accuracy, [budgets, 1 +
    draws], without and with what difficulty costs. `shares`: [bins, budgets, options]. `between`: how many
    options a budget can pay, [budgets]; with one there is no choice.
    """

    axis: str
    kind: str
    names: Sequence[int]
    targets: Floats
    accuracy: Floats
    baseline: Floats
    by_bin: Floats
    baseline_by_bin: Floats
    spent: Floats
    saved: Floats
    saved_charged: Floats
    shares: Floats
    between: Ints

    def chosen(self, options: Options, budget: int, name: int | None = None) -> str:
        """What was chosen at a budget in one bin or, unnamed, over all: `beam@16 70%, sampling@16 30%`."""
        rows = self.shares if name is None else self.shares[[self.names.index(name)]]
        share = rows[:, budget].mean(axis=0)
        order = np.argsort(-share, kind="stable")
        return ", ".join(f"{options.name(int(k))} {share[k]:.0%}" for k in order if share[k] >= _RARELY)


def choice_curve(
    options: Options, baseline: str, axis: str, how: Bins, weights: Floats, *, splits: int, seed: int
) -> ChoiceCurve:
    """The choice by one difficulty on one axis, at the baseline generator's own budgets.

    `weights`: bootstrap weights, [draws, problems]. Raises UserError for a bin of one problem.
    """
    own = options.of(baseline)
    cost = options.costs[axis]
    targets = cost[own].mean(axis=1)
    payable = affordable(options, axis, targets)
    found: Chosen = choose(
        options.credits,
        cost,
        payable,
        how.bins,
        weights,
        splits=splits,
        seed=derive_seed("choice", seed, axis, how.kind) % 2**31,
    )
    drawn = with_measurement(weights)
    fixed = options.credits[own] @ drawn.T
    names = np.unique(how.bins).tolist()
    spent = found.cost[:, 0]
    # In generations a choice costs what it counts as; in FLOPs what was chosen took, which may be less.
    x = targets if axis == GENERATIONS else np.maximum.accumulate(spent)
    charged = x + how.charge[axis]
    line, paid = Line(np.log(x), found.accuracy), Line(np.log(charged), found.accuracy)
    plain = Line(np.log(targets), fixed)
    places = range(targets.size)
    return ChoiceCurve(
        axis=axis,
        kind=how.kind,
        names=names,
        targets=targets,
        accuracy=found.accuracy,
        baseline=fixed,
        by_bin=found.by_bin,
        baseline_by_bin=np.array(
            [subset_means(options.credits[own], drawn, how.bins == name) for name in names]
        ),
        spent=spent,
        saved=np.array([saved(line, plain, place) for place in places]),
        saved_charged=np.array([saved(paid, plain, place) for place in places]),
        shares=found.shares,
        between=payable.sum(axis=1),
    )


def at_cost(curve: ChoiceCurve, cost: float) -> int | None:
    """The largest budget of a curve that costs at most `cost`; None if none does."""
    within = np.flatnonzero(curve.targets <= cost * (1 + 1e-9))
    return int(within[-1]) if within.size else None


def all_curves(
    options: Options,
    baseline: str,
    axes: Sequence[str],
    hows: Sequence[Bins],
    weights: Floats,
    *,
    splits: int,
    seed: int,
) -> Iterator[ChoiceCurve]:
    """Every axis and every way of telling difficulty apart."""
    for axis in axes:
        for how in hows:
            yield choice_curve(options, baseline, axis, how, weights, splits=splits, seed=seed)
