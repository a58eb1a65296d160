"""The compute-optimal strategy: per difficulty bin and budget, the best one on held-out problems.

Snell et al. 2024, section 3.2: the problems of every bin are split in two folds; the strategy is chosen on
one fold and measured on the other, both ways. One split is a matter of luck, so the folds are drawn many
times and averaged. Strategies tied on the choosing fold share the choice.

A bootstrap replicate repeats the whole procedure: the copies of a problem in it are always in one fold, so
that no choice sees what it is measured on, and the choice's own luck is in the interval.
"""

from dataclasses import dataclass

import numpy as np

from isoflop.arrays import Bools, Floats, Ints
from isoflop.errors import UserError
from isoflop.fits.bootstrap import with_measurement
from isoflop.selection.best_of_k import TIE

# A bin needs a problem in each fold.
_LEAST_PROBLEMS = 2


@dataclass(frozen=True)
class Chosen:
    """What choosing per bin gives at each budget.

    Attributes
    ----------
    accuracy, cost
        [budgets, 1 + draws], the measured value first; costs in the unit of the options'.
    by_bin
        Accuracy, [bins, budgets, 1 + draws]; nan for a bin that a replicate leaves empty.
    shares
        How often each option was chosen, over the splits, both ways, [bins, budgets, options]; 0 everywhere
        where nothing is affordable.
    """

    accuracy: Floats
    cost: Floats
    by_bin: Floats
    shares: Floats


def fold_masks(count: int, splits: int, seed: int) -> Bools:
    """Random halves of some problems; they differ by one problem at most.

    Parameters
    ----------
    count
        Number of problems.
    splits
        Number of halvings.
    seed
        Of all of them.

    Returns
    -------
    Which problems are in the first half, [splits, count].
    """
    generator = np.random.default_rng(seed)
    order = generator.permuted(np.broadcast_to(np.arange(count), (splits, count)), axis=1)
    return order < (count + generator.integers(0, 2, size=(splits, 1))) // 2


def choose(
    credits: Floats, costs: Floats, affordable: Bools, bins: Ints, weights: Floats, *, splits: int, seed: int
) -> Chosen:
    """Choose per bin on one fold, measure on the other.

    Parameters
    ----------
    credits, costs
        [options, problems], an option being a strategy at one of its budgets.
    affordable
        Which options a budget can pay, [budgets, options].
    bins
        Numbered from 1, [problems].
    weights
        Of the bootstrap, [draws, problems], rows summing to 1 (isoflop.fits.bootstrap).
    splits
        How often the folds are drawn.
    seed
        Of the folds.

    Raises
    ------
    UserError
        For a budget that can pay nothing and for a bin of a single problem.

    References
    ----------
    Snell et al. 2024, Scaling LLM Test-Time Compute Optimally, section 3.2. doi:10.48550/arXiv.2408.03314
    """
    unpaid = ~affordable.any(axis=1)
    if unpaid.any():
        raise UserError(f"budget number {int(np.argmax(unpaid)) + 1} can pay no strategy; leave it out")
    drawn = with_measurement(weights)
    names = np.unique(bins)
    budgets, options = affordable.shape
    credit_sums, cost_sums = np.zeros((2, names.size, budgets, drawn.shape[0]))
    masses = np.zeros((names.size, drawn.shape[0]))
    shares = np.zeros((names.size, budgets, options))
    for row, name in enumerate(names.tolist()):
        members = np.flatnonzero(bins == name)
        if members.size < _LEAST_PROBLEMS:
            raise UserError(
                f"difficulty bin {name} has one problem, and choosing and measuring need one each; "
                "use fewer bins or more problems"
            )
        masks = fold_masks(members.size, splits, seed + name)
        masses[row] = drawn[:, members].sum(axis=1)
        for chooser in (masks, ~masks):
            credit, cost, share = _one_way(
                credits[:, members], costs[:, members], affordable, drawn[:, members], chooser
            )
            credit_sums[row] += credit
            cost_sums[row] += cost
            shares[row] += share / 2
    with np.errstate(invalid="ignore"):
        by_bin = credit_sums / masses[:, None]
    return Chosen(credit_sums.sum(axis=0), cost_sums.sum(axis=0), by_bin, shares)


def _one_way(
    credits: Floats, costs: Floats, affordable: Bools, weights: Floats, chooser: Bools
) -> tuple[Floats, Floats, Floats]:
    """Choose on the `chooser` problems of every split, measure on the others.

    Returns weighted sums of credit and cost over the measured problems, [budgets, draws], means over splits,
    and the share of splits of the first replicate (the measurement) in which each option was chosen,
    [budgets, options].
    """
    splits = chooser.shape[0]
    measured = {"credit": np.zeros((affordable.shape[0], weights.shape[0]))}
    measured["cost"] = np.zeros_like(measured["credit"])
    shares = np.zeros(affordable.shape)
    everyone = weights @ credits.T, weights @ costs.T
    for split in range(splits):
        choosing = weights * chooser[split]
        seen = choosing @ credits.T
        unseen = everyone[0] - seen, everyone[1] - choosing @ costs.T
        for budget, options in enumerate(affordable):
            candidates = seen[:, options]
            top = candidates.max(axis=1, keepdims=True)
            best = candidates >= top - TIE * np.abs(top)
            picked = best / best.sum(axis=1, keepdims=True)
            measured["credit"][budget] += (picked * unseen[0][:, options]).sum(axis=1) / splits
            measured["cost"][budget] += (picked * unseen[1][:, options]).sum(axis=1) / splits
            shares[budget, options] += picked[0] / splits
    return measured["credit"], measured["cost"], shares
