"""Statistics of a study of choice as elements of claims: within bins, and of what was chosen.

Bins are told by other samples than those measured, in one view or two (isoflop.allocation.choice); a
statistic is the mean over the views in every bootstrap draw, and its interval as wide as that of one view.
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


def groups(how: Bins) -> list[tuple[Bools, Bools, Bools]] | None:
    """Problems of the easiest bin, of those between, of the hardest, in each view.

    None unless every view has three bins, and enough problems in each group.
    """
    found = []
    for view in how.views:
        names = np.unique(view.bins)
        if names.size < 3:
            return None
        easy, hard = view.bins == names[0], view.bins == names[-1]
        found.append((easy, ~easy & ~hard, hard))
    if min(int(group.sum()) for view in found for group in view) < FEWEST_PROBLEMS:
        return None
    return found


def within(how: Bins, vector: Vector, members: Sequence[Bools], evidence: Evidence) -> Element:
    """The mean of a vector of problems, each in [-1, 1], over some of them.

    `members`: which ones, in each view, at least FEWEST_PROBLEMS.
    """
    found = []
    for view, some in zip(how.views, members, strict=True):
        own = Evidence(
            evidence.dataset,
            [problem for problem, here in zip(evidence.problems, some.tolist(), strict=True) if here],
            None,
            {},
            _restricted(evidence.weights, some),
            evidence.level,
        )
        found.append(mean_element(vector(view.options)[some], own))
    return mean_of_elements(found)


def mean_of_elements(elements: Sequence[Element]) -> Element:
    """The mean of elements that may be one: as uncertain as they are on average."""
    low, high = np.mean([one.interval for one in elements], axis=0).tolist()
    return Element(
        np.mean([one.draws for one in elements], axis=0),
        float(np.mean([one.error for one in elements])),
        Interval(low, high),
    )


def half_difference(first: Element, second: Element, level: float) -> Element:
    """Half of the difference of two elements on different problems: a difference of accuracies again."""
    draws = (first.draws - second.draws) / 2
    error = max(float(draws[1:].std()), float(np.hypot(first.error, second.error)) / 2)
    return _spanned(draws, error, level)


def drawn_element(draws: Floats, problems: float, level: float, rare: float = 0.0) -> Element:
    """Of a statistic whose draws are known, [1 + draws], such as the gain of a choice made anew in each.

    `problems`: how many it is a mean over. A draw without a problem of some bin says nothing: it counts as
    what was measured. The error is no less than that of as many problems whose differences are all 0, by the
    problems that isoflop.fits.bootstrap.difference_interval adds: half of one at -1, half of one at 1, and
    one at 0. Where single answers are compared with an accuracy that is `rare`, nor is it less than if they
    were right as often: a few chance failures must not pass for certainty.
    """
    filled = np.where(np.isfinite(draws), draws, draws[0])
    floor = max(1.0 / (problems + 2.0), float(np.sqrt(rare * (1.0 - rare) / problems)))
    error = max(float(filled[1:].std()), floor)
    return _spanned(filled, error, level)


def _spanned(draws: Floats, error: float, level: float) -> Element:
    """An interval that spans the percentiles of the draws and so many standard errors."""
    low, high = known_interval(draws[1:], level)
    half = float(ndtri(0.5 + level / 2)) * error
    value = float(draws[0])
    return Element(draws, error, Interval(min(low, value - half), max(high, value + half)))


def _restricted(weights: Floats, members: Bools) -> Floats:
    """Weights of some of the problems, rows summing to 1; a draw without any has them all alike."""
    part = weights[:, members]
    mass = part.sum(axis=1, keepdims=True)
    result: Floats = np.where(mass > 0, part / np.where(mass > 0, mass, 1.0), 1.0 / part.shape[1])
    return result
