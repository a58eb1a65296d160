"""Whether scores are the chance that a candidate is right: Brier score, bins of scores, calibration error."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from isoflop.arrays import Bools, Floats, Ints
from isoflop.estimate import Estimate
from isoflop.fits.bootstrap import known_interval, share_interval

BINS = 10


class Bin(NamedTuple):
    """The candidates of some scores.

    Attributes
    ----------
    candidates, problems
        How many, and of how many problems.
    mean_score
        In [0, 1].
    right
        The share of right ones, with its interval.
    """

    candidates: int
    problems: int
    mean_score: float
    right: Estimate


@dataclass(frozen=True)
class Calibration:
    """Scores as chances.

    Attributes
    ----------
    brier
        Mean squared difference of score and outcome, which is 1 or 0.
    base_rate
        The same of always saying the share of right candidates.
    gain
        `base_rate` minus `brier`, with its interval; of one problem the interval is nan.
    error
        Expected calibration error: |mean score - share of right ones|, mean over candidates by their bins.
    error_by_chance
        What it would be on average if every score were the chance to be right, of each candidate by itself.
    bins
        By rising scores.
    """

    brier: float
    base_rate: float
    gain: Estimate
    error: float
    error_by_chance: float
    bins: tuple[Bin, ...]


def equal_count_bins(scores: Floats, most: int = BINS) -> Ints:
    """The bin of each candidate, from 0, by rising scores.

    Parameters
    ----------
    scores
        Finite, [candidates].
    most
        How many bins there are at most, at least 1.

    Returns
    -------
    [candidates]; no bin is empty.

    Notes
    -----
    Candidates of one score are in one bin, that of their middle rank. Where all scores differ, bins differ
    in size by one candidate at most.
    """
    _, tied, counts = np.unique(scores, return_inverse=True, return_counts=True)
    doubled_middle = 2 * np.cumsum(counts) - counts
    bins: Ints = np.unique((most * doubled_middle // (2 * scores.size))[tied], return_inverse=True)[1]
    return bins


def calibration(
    scores: Floats, right: Bools, problem: Ints, weights: Floats, level: float
) -> Calibration | None:
    """How far scores are from the chance to be right.

    Parameters
    ----------
    scores
        At least one, [candidates].
    right
        [candidates].
    problem
        The number of each candidate's problem, from 0, [candidates].
    weights
        Of the bootstrap, [draws, problems].
    level
        Confidence of intervals, in (0, 1).

    Returns
    -------
    None where a score is outside [0, 1]: it is no chance then.

    References
    ----------
    Brier 1950, Verification of forecasts expressed in terms of probability; Naeini, Cooper and Hauskrecht
    2015, Obtaining Well Calibrated Probabilities Using Bayesian Binning. doi:10.1609/aaai.v29i1.9602
    """
    if scores.min() < 0.0 or scores.max() > 1.0:
        return None
    problems, total = weights.shape[1], scores.size
    bins = equal_count_bins(scores)
    shape = (int(bins.max()) + 1, problems)
    place = bins * problems + problem

    def summed(values: Floats | Bools) -> Floats:
        """[bins, problems]."""
        sums = np.bincount(place, weights=values, minlength=shape[0] * problems)
        return sums.astype(np.float64).reshape(shape)

    sizes, hits, squares = summed(np.ones(total)), summed(right), summed((scores - right) ** 2)
    of_bin, hits_of_bin, score_of_bin = sizes.sum(axis=1), hits.sum(axis=1), summed(scores).sum(axis=1)
    with np.errstate(invalid="ignore"):
        shares = (hits @ weights.T) / (sizes @ weights.T)
        drawn_rate, drawn_brier = (
            (weights @ one.sum(axis=0)) / (weights @ sizes.sum(axis=0)) for one in (hits, squares)
        )
    told = []
    for number, drawn in enumerate(shares):
        count, among = of_bin[number], int(np.count_nonzero(sizes[number]))
        share = float(hits_of_bin[number] / count)
        interval = share_interval(share, drawn, among, level)
        mean_score = float(score_of_bin[number] / count)
        told.append(Bin(int(count), among, mean_score, Estimate(share, *interval)))
    rate, brier = float(hits.sum() / total), float(squares.sum() / total)
    base_rate = rate * (1.0 - rate)
    gained = known_interval(drawn_rate * (1.0 - drawn_rate) - drawn_brier, level)
    lone = np.count_nonzero(sizes.sum(axis=0)) == 1
    variances = summed(scores * (1.0 - scores)).sum(axis=1)
    return Calibration(
        brier=brier,
        base_rate=base_rate,
        gain=Estimate(base_rate - brier, *((np.nan, np.nan) if lone else gained)),
        error=float(np.abs(score_of_bin - hits_of_bin).sum() / total),
        # The mean of |x| for a normal x of that variance.
        error_by_chance=float(np.sqrt(2.0 / np.pi * variances).sum() / total),
        bins=tuple(told),
    )
