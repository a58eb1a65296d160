"""Compute-optimal choice against a fixed strategy: accuracy, gain and compute saved at every budget.

Snell et al. 2024, sections 5.3 and 6.2 (Figures 4 and 8): one strategy for all problems, the baseline,
against the best one per difficulty bin. Three ways of telling difficulty apart (oracle, predicted, the data
set's own levels) stand beside none, where one strategy is chosen for all problems: what that gains is the
choice's, the rest is difficulty's.

Bins never come from the samples that are measured in them: problems that were lucky in a pool would fill the
easy bins with strategies that were lucky in that pool, and a choice would gain where nothing differs. Where
the pool that tells difficulty is measured too, its halves are: one tells and the other is measured, in two
views whose outcomes are averaged replicate by replicate. Its budgets then end at half of the pool.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from isoflop.allocation.compute_optimal import Chosen, choose
from isoflop.allocation.options import GENERATIONS, Options, affordable, mean_options
from isoflop.arrays import Bools, Floats, Ints
from isoflop.fits.bootstrap import subset_means, with_measurement
from isoflop.fits.interpolation import Line, saved
from isoflop.seeds import derive_seed
from isoflop.verdicts.factors import SHORT, saved_near_best

NO_DIFFICULTY = "none"
KINDS = (NO_DIFFICULTY, "level", "predicted", "oracle")

# Options chosen less often than this are not named.
_RARELY = 0.05


@dataclass(frozen=True)
class View:
    """What is measured, and what tells difficulty.

    Attributes
    ----------
    options
        On the problems.
    bins
        The bin of each problem, [problems], that other samples told.
    """

    options: Options
    bins: Ints


@dataclass(frozen=True)
class Bins:
    """One way of telling difficulty apart.

    Attributes
    ----------
    kind
        Of KINDS.
    views
        One, or two with the halves of a pool in turn, of the same options and problems.
    charge
        What it costs per problem, by axis.
    """

    kind: str
    views: tuple[View, ...]
    charge: Mapping[str, float]

    @cached_property
    def names(self) -> list[int]:
        """The bins that any view has, the easiest first."""
        return sorted({int(name) for view in self.views for name in np.unique(view.bins)})

    def count(self, name: int) -> float:
        """Number of problems of a bin, mean over the views that have it.

        Parameters
        ----------
        name
            Of the bin, from 1, the easiest.
        """
        counts = [int((view.bins == name).sum()) for view in self.views]
        return float(np.mean([count for count in counts if count]))

    @cached_property
    def options(self) -> Options:
        """The options as they are on the mean of the views."""
        return mean_options([view.options for view in self.views])


@dataclass(frozen=True)
class ChoiceCurve:
    """The choice and the baseline over the budgets of one axis.

    Attributes
    ----------
    axis
        Of compute: `generations`, or FLOPs by cost model.
    kind
        Of difficulty, of KINDS.
    names
        Of the bins.
    targets
        What the baseline spends, [budgets].
    accuracy, baseline
        Of the choice and of the baseline, [budgets, 1 + draws].
    by_bin, baseline_by_bin
        The same in each bin, [bins, budgets, 1 + draws].
    spent
        What the choice spends, [budgets].
    charge
        What telling difficulty cost, per problem.
    problems
        In each of the bins, mean over the views.
    knee
        The first budget within a point of the baseline's best.
    saved, saved_charged
        Log of the factor of compute saved at the baseline's accuracy, [budgets, 1 + draws], without and with
        the charge; at `knee` it is that of coming within a point of its best.
    shares
        How often each option was chosen, [bins, budgets, options].
    between
        How many options a budget can pay, [budgets]; with one there is no choice.
    options
        As they are on the mean of the views.
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
    charge: float
    problems: Sequence[float]
    knee: int
    saved: Floats
    saved_charged: Floats
    shares: Floats
    between: Ints
    options: Options

    def chosen(self, budget: int, name: int | None = None) -> str:
        """What was chosen at a budget in one bin or, unnamed, over all: `beam@16 70%, sampling@16 30%`.

        Parameters
        ----------
        budget
            Its index.
        name
            Of the bin.
        """
        rows = self.shares if name is None else self.shares[[self.names.index(name)]]
        share = rows[:, budget].mean(axis=0)
        order = np.argsort(-share, kind="stable")
        return ", ".join(f"{self.options.name(int(k))} {share[k]:.0%}" for k in order if share[k] >= _RARELY)

    def lines(self, *, charged: bool) -> tuple[Line, Line]:
        """The choice and the baseline over the logarithm of compute.

        Parameters
        ----------
        charged
            Whether the choice pays for telling difficulty.
        """
        # In generations a choice costs what it counts as; in FLOPs what was chosen took, which may be less.
        x = self.targets if self.axis == GENERATIONS else np.maximum.accumulate(self.spent)
        choice = Line(np.log(x + self.charge * charged), self.accuracy)
        return choice, Line(np.log(self.targets), self.baseline)


def choose_in_views(
    bins: Bins, axis: str, payable: Bools, weights: Floats, *, splits: int, seed: int
) -> Chosen:
    """`isoflop.allocation.compute_optimal.choose` in every view, averaged; bins are those of `bins.names`.

    Parameters
    ----------
    bins
        The views.
    axis
        Of compute.
    payable
        Which options a budget can pay, [budgets, options].
    weights
        Of the bootstrap, [draws, problems].
    splits, seed
        How often folds are drawn, and from what.

    Notes
    -----
    A bin that one view lacks is that of the other, and a replicate without any of its problems is nan.
    """
    outcomes = [
        choose(
            view.options.credits,
            view.options.costs[axis],
            payable,
            view.bins,
            weights,
            splits=splits,
            seed=derive_seed("choice", seed, axis, bins.kind, index) % 2**31,
        )
        for index, view in enumerate(bins.views)
    ]
    bins_of_views = [np.unique(view.bins).tolist() for view in bins.views]
    by_bin, shares = [], []
    for name in bins.names:
        rows = [
            (outcome, names.index(name))
            for outcome, names in zip(outcomes, bins_of_views, strict=True)
            if name in names
        ]
        by_bin.append(mean_of_known([outcome.by_bin[row] for outcome, row in rows]))
        shares.append(np.mean([outcome.shares[row] for outcome, row in rows], axis=0))
    return Chosen(
        np.mean([outcome.accuracy for outcome in outcomes], axis=0),
        np.mean([outcome.cost for outcome in outcomes], axis=0),
        np.array(by_bin),
        np.array(shares),
    )


def mean_of_known(arrays: Sequence[Floats]) -> Floats:
    """The mean over arrays of what is a number in each.

    Parameters
    ----------
    arrays
        Of one shape.

    Returns
    -------
    Of that shape; nan where none is a number.
    """
    known = np.isfinite(arrays)
    with np.errstate(invalid="ignore"):
        result: Floats = np.where(known, arrays, 0.0).sum(axis=0) / known.sum(axis=0)
    return result


def bin_means(bins: Bins, rows: Sequence[Floats], drawn: Floats, name: int) -> Floats:
    """Weighted means over the problems of one bin, mean over the views.

    Parameters
    ----------
    bins
        The views.
    rows
        What is averaged in each view, [..., problems].
    drawn
        Weights, [draws, problems].
    name
        Of the bin.

    Returns
    -------
    [..., draws]; nan without any problem of the bin.
    """
    return mean_of_known(
        [
            subset_means(values, drawn, view.bins == name)
            for values, view in zip(rows, bins.views, strict=True)
            if (view.bins == name).any()
        ]
    )


def choice_curve(
    baseline: str, axis: str, bins: Bins, weights: Floats, *, splits: int, seed: int
) -> ChoiceCurve:
    """The choice by one difficulty on one axis, at the baseline generator's own budgets.

    Parameters
    ----------
    baseline
        A member of the family.
    axis
        Of compute.
    bins
        The difficulty.
    weights
        Of the bootstrap, [draws, problems].
    splits, seed
        How often folds are drawn, and from what.

    Raises
    ------
    UserError
        For a bin of one problem.

    References
    ----------
    Snell et al. 2024, Scaling LLM Test-Time Compute Optimally, sections 5.3 and 6.2.
    doi:10.48550/arXiv.2408.03314
    """
    options = bins.options
    points = options.of(baseline)
    targets = options.costs[axis][points].mean(axis=1)
    payable = affordable(options, axis, targets)
    chosen = choose_in_views(bins, axis, payable, weights, splits=splits, seed=seed)
    drawn = with_measurement(weights)
    fixed = options.credits[points] @ drawn.T
    curve = ChoiceCurve(
        axis=axis,
        kind=bins.kind,
        names=bins.names,
        targets=targets,
        accuracy=chosen.accuracy,
        baseline=fixed,
        by_bin=chosen.by_bin,
        baseline_by_bin=np.array(
            [
                bin_means(bins, [view.options.credits[points] for view in bins.views], drawn, name)
                for name in bins.names
            ]
        ),
        spent=chosen.cost[:, 0],
        charge=bins.charge[axis],
        problems=[bins.count(name) for name in bins.names],
        knee=int(np.argmax(fixed[:, 0] >= fixed[:, 0].max() - SHORT)),
        saved=np.empty(0),
        saved_charged=np.empty(0),
        shares=chosen.shares,
        between=payable.sum(axis=1),
        options=options,
    )
    free, paid = (_saved(curve, charged=charged) for charged in (False, True))
    return replace(curve, saved=free, saved_charged=paid)


def _saved(curve: ChoiceCurve, *, charged: bool) -> Floats:
    """Log of the factor of compute saved, [budgets, 1 + draws]."""
    choice, baseline = curve.lines(charged=charged)
    rows = [saved(choice, baseline, index) for index in range(curve.targets.size)]
    rows[curve.knee] = saved_near_best(choice, baseline)
    return np.array(rows)


def all_curves(
    baseline: str,
    axes: Sequence[str],
    difficulties: Sequence[Bins],
    weights: Floats,
    *,
    splits: int,
    seed: int,
) -> Iterator[ChoiceCurve]:
    """Every axis and every way of telling difficulty apart.

    Parameters
    ----------
    baseline
        A member of the family.
    axes
        Of compute.
    difficulties
        The ways.
    weights
        Of the bootstrap, [draws, problems].
    splits, seed
        How often folds are drawn, and from what.
    """
    for axis in axes:
        for bins in difficulties:
            yield choice_curve(baseline, axis, bins, weights, splits=splits, seed=seed)
