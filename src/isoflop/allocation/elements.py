"""Statistics of a study of choice as elements of claims: within bins, and of what was chosen.

Bins are told by other samples than those measured, in one view or two (isoflop.allocation.choice); a
statistic is the mean over the views in every bootstrap replicate, and its interval as wide as that of one
view.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import ndtri

from isoflop.allocation.choice import Bins
from isoflop.allocation.options import Options
from isoflop.arrays import Bools, Floats
from isoflop.fits.bootstrap import Interval, known_interval
from isoflop.fits.evidence import Evidence
from isoflop.verdicts.statements import FEWEST_PROBLEMS, Element, mean_element

# One vector of problems per view.
Vector = Callable[[Options], Floats]


def groups(bins: Bins) -> list[tuple[Bools, Bools, Bools]] | None:
    """Problems of the easiest bin, of those between, of the hardest, in each view.

    Parameters
    ----------
    bins
        The views.

    Returns
    -------
    Three masks per view, each [problems]. None unless every view has three bins, and enough problems in each
    group.
    """
    by_view = []
    for view in bins.views:
        names = np.unique(view.bins)
        if names.size < 3:
            return None
        easy, hard = view.bins == names[0], view.bins == names[-1]
        by_view.append((easy, ~easy & ~hard, hard))
    if min(int(group.sum()) for view in by_view for group in view) < FEWEST_PROBLEMS:
        return None
    return by_view


def within(bins: Bins, vector: Vector, members: Sequence[Bools], evidence: Evidence) -> Element:
    """The mean of a vector of problems over some of them.

    Parameters
    ----------
    bins
        The views.
    vector
        From options, each in [-1, 1], [problems].
    members
        Which problems, in each view, at least FEWEST_PROBLEMS.
    evidence
        Of the same problems: its bootstrap weights and level.
    """
    elements = []
    for view, chosen in zip(bins.views, members, strict=True):
        restricted = Evidence(
            evidence.dataset,
            [
                problem
                for problem, included in zip(evidence.problems, chosen.tolist(), strict=True)
                if included
            ],
            None,
            {},
            _restricted(evidence.weights, chosen),
            evidence.level,
        )
        elements.append(mean_element(vector(view.options)[chosen], restricted))
    return mean_of_elements(elements)


def mean_of_elements(elements: Sequence[Element]) -> Element:
    """The mean of elements that may be one: as uncertain as they are on average.

    Parameters
    ----------
    elements
        At least one.
    """
    low, high = np.mean([element.interval for element in elements], axis=0).tolist()
    return Element(
        np.mean([element.draws for element in elements], axis=0),
        float(np.mean([element.error for element in elements])),
        Interval(low, high),
    )


def half_difference(first: Element, second: Element, level: float) -> Element:
    """Half of the difference of two elements on different problems: a difference of accuracies again.

    Parameters
    ----------
    first, second
        The result is (first - second) / 2.
    level
        Of its interval, in (0, 1).
    """
    draws = (first.draws - second.draws) / 2
    error = max(float(draws[1:].std()), float(np.hypot(first.error, second.error)) / 2)
    return _spanned(draws, error, level)


def drawn_element(draws: Floats, problems: float, level: float, rare: float = 0.0) -> Element:
    """Of a statistic known in every replicate, such as the gain of a choice made again in each.

    Parameters
    ----------
    draws
        [1 + draws]; nan in a replicate without a problem of some bin, which says nothing: it counts as what
        was measured.
    problems
        How many it is a mean over.
    level
        Of the interval, in (0, 1).
    rare
        An accuracy that single answers are compared with; 0 where none is.

    Notes
    -----
    The error is no less than that of as many problems whose differences are all 0, by the problems that
    isoflop.fits.bootstrap.difference_interval adds: half of one at -1, half of one at 1, and one at 0. Where
    single answers are compared with an accuracy that is rare, nor is it less than if they were right as
    often, sqrt(rare (1 - rare) / problems): a few chance failures must not pass for certainty.
    """
    filled = np.where(np.isfinite(draws), draws, draws[0])
    floor = max(1.0 / (problems + 2.0), float(np.sqrt(rare * (1.0 - rare) / problems)))
    error = max(float(filled[1:].std()), floor)
    return _spanned(filled, error, level)


def _spanned(draws: Floats, error: float, level: float) -> Element:
    """An interval that spans the percentiles of the replicates and so many standard errors."""
    low, high = known_interval(draws[1:], level)
    half = float(ndtri(0.5 + level / 2)) * error
    value = float(draws[0])
    return Element(draws, error, Interval(min(low, value - half), max(high, value + half)))


def _restricted(weights: Floats, members: Bools) -> Floats:
    """Weights of some of the problems, rows summing to 1; a replicate without any has them all alike."""
    part = weights[:, members]
    mass = part.sum(axis=1, keepdims=True)
    result: Floats = np.where(mass > 0, part / np.where(mass > 0, mass, 1.0), 1.0 / part.shape[1])
    return result
