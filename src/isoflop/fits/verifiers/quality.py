"""One verifier on the candidates of one pool: how well its scores tell, are they chances; and the tables."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from isoflop.arrays import Bools, Floats, Ints
from isoflop.estimate import Estimate, fraction
from isoflop.fits.bootstrap import accuracy_interval, share_interval, with_measurement
from isoflop.fits.curves import csv_text
from isoflop.fits.verifiers.calibration import Calibration, calibration
from isoflop.fits.verifiers.discrimination import drawn_aucs, problem_aucs
from isoflop.tables import CALIBRATION_COLUMNS, VERIFIERS_COLUMNS

_UNKNOWN = Estimate(np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class Scored:
    """The candidates of a pool, one score each.

    Attributes
    ----------
    problem
        The number of each candidate's problem, from 0, [candidates].
    right
        [candidates].
    scores
        On one scale for all problems, nan where there is none, [candidates].
    within
        What is picked by, comparable within a problem alone, nan in the same places, [candidates].
    """

    problem: Ints
    right: Bools
    scores: Floats
    within: Floats


@dataclass(frozen=True)
class Quality:
    """What scores are worth; nan and None where nobody can tell.

    Attributes
    ----------
    problems, candidates
        Those with a score.
    unscored
        Candidates without one.
    right
        The share of right candidates.
    auc
        Over all candidates, with its interval.
    mixed_problems
        Those with right and wrong candidates.
    auc_within
        The mean of their own, with its interval.
    calibration
        None where scores are no chances.
    """

    problems: int
    candidates: int
    unscored: int
    right: float
    auc: Estimate
    mixed_problems: int
    auc_within: Estimate
    calibration: Calibration | None


def quality(scored: Scored, weights: Floats, level: float) -> Quality:
    """How well scores tell right candidates from wrong ones, and how calibrated they are.

    Parameters
    ----------
    scored
        The candidates of a pool.
    weights
        Of the bootstrap, [draws, problems].
    level
        Confidence of intervals, in (0, 1).

    Notes
    -----
    Candidates without a score are left out. Intervals are percentiles of a bootstrap over problems, the one
    within problems made as that of an accuracy (`isoflop.fits.bootstrap.accuracy_interval`).
    """
    known = ~np.isnan(scored.scores)
    problem, right, scores = scored.problem[known], scored.right[known], scored.scores[known]
    problems = weights.shape[1]
    aucs = problem_aucs(scored.within[known], right, problem, problems)
    mixed = ~np.isnan(aucs)
    return Quality(
        problems=np.unique(problem).size,
        candidates=scores.size,
        unscored=int(np.count_nonzero(~known)),
        right=float(right.mean()) if scores.size else np.nan,
        auc=_auc(scores, right, problem, weights, level),
        mixed_problems=int(np.count_nonzero(mixed)),
        auc_within=_mean(aucs[mixed], weights[:, mixed], level),
        calibration=calibration(scores, right, problem, weights, level) if scores.size else None,
    )


def _auc(scores: Floats, right: Bools, problem: Ints, weights: Floats, level: float) -> Estimate:
    """Over all candidates; unknown where they are all right or all wrong."""
    with_right, with_wrong = np.unique(problem[right]).size, np.unique(problem[~right]).size
    if not (with_right and with_wrong):
        return _UNKNOWN
    counts = np.rint(with_measurement(weights) * weights.shape[1])
    value, *drawn = drawn_aucs(scores, right, problem, counts)
    return Estimate(value, *share_interval(value, np.array(drawn), min(with_right, with_wrong), level))


def _mean(values: Floats, weights: Floats, level: float) -> Estimate:
    """Over some problems, by the replicates that have any of them."""
    if not values.size:
        return _UNKNOWN
    having = weights[weights.any(axis=1)]
    interval = accuracy_interval(values, having / having.sum(axis=1, keepdims=True), level)
    return Estimate(float(values.mean()), *interval)


def verifiers_csv(told: Iterable[tuple[Sequence[str], Quality]]) -> str:
    """`verifiers.csv`: a row each.

    Parameters
    ----------
    told
        Each with its experiment, data set, policy, generator, verifier and step aggregation.
    """
    return csv_text(VERIFIERS_COLUMNS, [[*about, *_cells(one)] for about, one in told])


def calibration_csv(told: Iterable[tuple[Sequence[str], Quality]]) -> str:
    """`calibration.csv`: a row for each bin, where scores are chances.

    Parameters
    ----------
    told
        As for `verifiers_csv`.
    """
    return csv_text(
        CALIBRATION_COLUMNS,
        [
            [
                *about,
                str(number),
                str(one.candidates),
                str(one.problems),
                *map(_cell, (one.mean_score, one.right.value, one.right.low, one.right.high)),
            ]
            for about, found in told
            if found.calibration is not None
            for number, one in enumerate(found.calibration.bins, start=1)
        ],
    )


def _cells(one: Quality) -> Iterator[str]:
    yield from map(str, (one.problems, one.candidates, one.unscored))
    yield from map(_cell, (one.right, one.auc.value, one.auc.low, one.auc.high))
    yield str(one.mixed_problems)
    yield from map(_cell, (one.auc_within.value, one.auc_within.low, one.auc_within.high))
    if one.calibration is None:
        yield from [""] * 7
        return
    told = one.calibration
    gain = told.gain
    numbers = (told.brier, told.base_rate, gain.value, gain.low, gain.high, told.error, told.error_by_chance)
    yield from map(_cell, numbers)


def _cell(value: float) -> str:
    return "" if np.isnan(value) else fraction(value)
