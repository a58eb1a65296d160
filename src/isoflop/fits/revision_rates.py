"""What becomes of answers along chains of revisions: pass@1 by place, correct to incorrect and back.

Snell et al. 2024, Figure 6 and section 6.1. Every share is over all answers of all problems that it may be
about, so a problem with more of them weighs more; its interval is by bootstrap over problems.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isoflop.arrays import Bools, Floats
from isoflop.estimate import fraction
from isoflop.fits.bootstrap import share_interval
from isoflop.fits.curves import csv_text

COLUMNS = (
    "experiment", "dataset", "policy", "generator", "place", "measure", "value", "ci_low", "ci_high",
    "answers", "problems",
)  # fmt: skip
PASS = "pass@1"
BROKEN = "correct to incorrect"
FIXED = "incorrect to correct"


@dataclass(frozen=True)
class GradedChains:
    """Chains of some length or other, by problem; the last index is the place of an answer.

    Attributes
    ----------
    right
        Whether each answer is right, one array [chains, longest] per problem.
    there
        Which answers were written, the same shapes.
    """

    right: Sequence[Bools]
    there: Sequence[Bools]


class Rate(NamedTuple):
    """A share of answers, with its interval.

    Attributes
    ----------
    place
        Of the answers in their chains, from 1; 0 for all.
    measure
        PASS, BROKEN or FIXED.
    value, low, high
        In [0, 1].
    answers, problems
        How many answers it is a share of, and of how many problems.
    """

    place: int
    measure: str
    value: float
    low: float
    high: float
    answers: int
    problems: int


def revision_rates(chains: GradedChains, weights: Floats, level: float) -> list[Rate]:
    """Every measure at every place, then turned answers of all places together.

    Parameters
    ----------
    chains
        Graded, of all problems.
    weights
        Of the bootstrap, [draws, problems].
    level
        Confidence of intervals, in (0, 1).

    Returns
    -------
    Rates; a share that no answer is about is left out.

    References
    ----------
    Snell et al. 2024, Scaling LLM Test-Time Compute Optimally, section 6.1 and Figure 6.
    doi:10.48550/arXiv.2408.03314
    """
    longest = chains.right[0].shape[1]
    counts: dict[tuple[int, str], tuple[list[int], list[int]]] = {}
    for right, there in zip(chains.right, chains.there, strict=True):
        for place in range(longest):
            written = there[:, place]
            measured = {PASS: (written & right[:, place], written)}
            if place:
                was = right[:, place - 1]
                measured[BROKEN] = (written & was & ~right[:, place], written & was)
                measured[FIXED] = (written & ~was & right[:, place], written & ~was)
            for measure, (hits, answers) in measured.items():
                both = counts.setdefault((place + 1, measure), ([], []))
                for column, values in zip(both, (hits, answers), strict=True):
                    column.append(int(np.count_nonzero(values)))
    rates = [
        _rate(place, measure, np.array(hits), np.array(answers), weights, level)
        for (place, measure), (hits, answers) in counts.items()
        if sum(answers)
    ]
    for measure in (BROKEN, FIXED):
        turned = [counts[place, measure] for place in range(2, longest + 1)]
        if turned and sum(map(sum, (answers for _, answers in turned))):
            hits, answers = (np.sum([pair[column] for pair in turned], axis=0) for column in (0, 1))
            rates.append(_rate(0, measure, hits, answers, weights, level))
    return rates


def rates_csv(rates: Sequence[tuple[Sequence[str], Rate]]) -> str:
    """`revisions.csv`: each rate after its experiment, data set, policy and generator.

    Parameters
    ----------
    rates
        Each with those four names.
    """
    return csv_text(
        COLUMNS,
        [
            [
                *about,
                str(rate.place) if rate.place else "all",
                rate.measure,
                *(fraction(value) for value in (rate.value, rate.low, rate.high)),
                str(rate.answers),
                str(rate.problems),
            ]
            for about, rate in rates
        ],
    )


def _rate(
    place: int,
    measure: str,
    hits: NDArray[np.int64],
    answers: NDArray[np.int64],
    weights: Floats,
    level: float,
) -> Rate:
    """A ratio of sums over problems, [problems] each."""
    asked = int(np.count_nonzero(answers))
    value = float(hits.sum() / answers.sum())
    with np.errstate(invalid="ignore"):
        drawn = (weights @ hits) / (weights @ answers)
    low, high = share_interval(value, drawn, asked, level)
    return Rate(place, measure, value, low, high, int(answers.sum()), asked)
