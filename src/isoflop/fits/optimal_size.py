"""The compute-optimal size of one family under one strategy: its frontier, and its law where curves cross."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isoflop.arrays import Floats
from isoflop.fits.evidence import Evidence, Series
from isoflop.fits.fitting import Fit
from isoflop.fits.frontier import MeasuredCurve, PolicyFrontier, policy_frontier
from isoflop.fits.size_regression import fit_optimal_size


@dataclass(frozen=True)
class SizeLaw:
    """The compute-optimal size of one family.

    Attributes
    ----------
    frontier
        Over sizes; None where their budgets do not overlap.
    fit
        The regression on its crossings.
    """

    frontier: PolicyFrontier | None
    fit: Fit

    @property
    def alpha(self) -> Floats | None:
        """The exponent and its bootstrap replicates, [1 + draws].

        NaN in a replicate without slope; None without fit.
        """
        if "alpha" not in self.fit.parameters:
            return None
        return np.concatenate([[self.fit.parameters["alpha"].value], self.fit.draws["alpha"]])


def size_law(
    curves: Sequence[MeasuredCurve],
    names: Sequence[str],
    parameters: Sequence[int],
    level: float,
    *,
    ended: bool = False,
) -> SizeLaw:
    """The law of one family's curves.

    Parameters
    ----------
    curves
        From small to large, with the same replicates.
    names, parameters
        Of the policies.
    level
        Of the intervals, in (0, 1).
    ended
        As of `policy_frontier`: for coverage from counts.

    Returns
    -------
    The frontier and the regression on its crossings, whose status says where there is no law.

    References
    ----------
    Wu et al. 2024, Inference Scaling Laws, section 4.2. doi:10.48550/arXiv.2408.00724
    """
    frontier = policy_frontier(curves, ended=ended)
    if frontier is None:
        fit = Fit("optimal_size", "failed", "no range of budgets in which the policies compare", 0)
        return SizeLaw(None, fit)
    sizes = np.array(parameters)
    never = [name for index, name in enumerate(names) if index not in frontier.best]
    fit = fit_optimal_size(
        frontier.cost,
        sizes[frontier.best],
        sizes[frontier.draws],
        level,
        priced={float(size): frontier.prices[:, index] for index, size in enumerate(parameters)},
        never_best=never,
    )
    return SizeLaw(frontier, fit)


def optimal_size(
    series: Sequence[Series], parameters: Sequence[int], evidence: Evidence, cost: str, *, ended: bool = False
) -> SizeLaw:
    """The law of one strategy's series of a family.

    Parameters
    ----------
    series
        From small to large.
    parameters
        Of the policies.
    evidence
        What the series are part of: its bootstrap weights and level.
    cost
        The cost model, a key of the series' costs.
    ended
        As of `size_law`.

    Returns
    -------
    As `size_law`.
    """
    curves = []
    for policy in series:
        draws = evidence.drawn @ policy.credits.T
        curves.append(MeasuredCurve(policy.costs[cost], 1.0 - draws[0], 1.0 - draws[1:]))
    return size_law(curves, [policy.policy for policy in series], parameters, evidence.level, ended=ended)
