"""One score per candidate from its step scores (Wu et al. 2024, section 3).

Candidates have different numbers of steps, so step scores come as one flat array in candidate order with
the number of steps of each candidate beside it. A step aggregation is one object in a module of its own in
`isoflop.selection.aggregations`, or one that an entry point of the group `isoflop.step_aggregations` refers
to.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from isoflop.arrays import Floats, Ints
from isoflop.errors import UserError
from isoflop.registries import STEP_AGGREGATIONS, Registered


class StepScoreArrays(NamedTuple):
    """The step scores of all candidates.

    Attributes
    ----------
    scores
        Flat and finite, [steps of all candidates].
    starts
        Where a candidate's scores start, [candidates].
    counts
        How many scores a candidate has, at least one, [candidates].
    pool_sizes
        Candidates per problem, in order, [problems].
    """

    scores: Floats
    starts: Ints
    counts: Ints
    pool_sizes: Ints


@dataclass(frozen=True, kw_only=True)
class StepAggregation(Registered):
    """How step scores become a solution's score.

    Attributes
    ----------
    combine
        To one score per candidate, [candidates]; only order and ratios within a pool matter.
    at_least_zero
        Whether it has no meaning for negative scores.
    """

    combine: Callable[[StepScoreArrays], Floats]
    at_least_zero: bool = False


def step_aggregation(name: str) -> StepAggregation:
    """A step aggregation by name.

    Parameters
    ----------
    name
        Of the registry `isoflop.registries.STEP_AGGREGATIONS`.

    Raises
    ------
    UserError
        For an unknown one, or one that cannot compute.
    """
    found = STEP_AGGREGATIONS[name]
    if not isinstance(found, StepAggregation):
        raise UserError(
            f"step aggregation {name!r}: has only a name; make it a StepAggregation of "
            "isoflop.selection.aggregation"
        )
    return found


def aggregate_steps(
    step_scores: ArrayLike, step_counts: ArrayLike, pool_sizes: ArrayLike, aggregation: str
) -> Floats:
    """One score per candidate.

    Parameters
    ----------
    step_scores
        Flat, [steps of all candidates].
    step_counts
        Steps per candidate, at least one, [candidates].
    pool_sizes
        Candidates per problem, in order, [problems].
    aggregation
        The name of a step aggregation: `last`, `min`, `product`, `mean`, or another that is registered.

    Returns
    -------
    Scores, [candidates]; only their order and ratios within a pool matter.

    Raises
    ------
    UserError
        For a candidate without steps, counts that do not add up, a score that is not finite, a negative score
        where the aggregation takes none, or an unknown aggregation.

    References
    ----------
    Wu et al. 2024, Inference Scaling Laws, section 3. doi:10.48550/arXiv.2408.00724
    """
    chosen = step_aggregation(aggregation)
    counts = np.asarray(step_counts, dtype=np.int64)
    steps = StepScoreArrays(
        scores=np.asarray(step_scores, dtype=np.float64),
        starts=np.cumsum(counts) - counts,
        counts=counts,
        pool_sizes=np.asarray(pool_sizes, dtype=np.int64),
    )
    _check(steps, chosen)
    return chosen.combine(steps) if counts.size else np.zeros(0)


def aggregate_on_one_scale(step_scores: ArrayLike, step_counts: ArrayLike, aggregation: str) -> Floats:
    """One score per candidate, on the scale of the step scores, whatever problems the candidates are of.

    Parameters
    ----------
    step_scores
        Flat, [steps of all candidates].
    step_counts
        Steps per candidate, at least one, [candidates].
    aggregation
        The name of a step aggregation.

    Returns
    -------
    Scores, [candidates]; a product may underflow to 0, as numbers of 64 bits do.

    Raises
    ------
    UserError
        As `aggregate_steps` does.

    Notes
    -----
    Aggregations fix ratios within a pool alone. So all candidates are one pool, beside a solution whose only
    step scores 1, and are told as ratios to it.
    """
    counts, scores = np.append(step_counts, 1), np.append(step_scores, 1.0)
    combined = aggregate_steps(scores, counts, [counts.size], aggregation)
    candidates, unit = combined[:-1], combined[-1]
    return candidates / unit if unit > 0 else candidates


def _check(steps: StepScoreArrays, aggregation: StepAggregation) -> None:
    scores, counts = steps.scores, steps.counts
    if np.any(counts < 1):
        row = int(np.argmax(counts < 1))
        raise UserError(f"candidate row {row} has no step scores; score every step of every candidate")
    if counts.sum() != scores.size or steps.pool_sizes.sum() != counts.size:
        raise UserError(
            f"{scores.size} step scores, {counts.size} candidates with {counts.sum()} steps and pools of "
            f"{steps.pool_sizes.sum()} candidates do not fit together; score the candidates again"
        )
    wrong = ~np.isfinite(scores)
    if aggregation.at_least_zero:
        wrong |= scores < 0
    if np.any(wrong):
        at = int(np.argmax(wrong))
        row = int(np.searchsorted(np.cumsum(counts), at, side="right"))
        least = (
            f", and at least 0 for the step aggregation {aggregation.name}"
            if aggregation.at_least_zero
            else ""
        )
        raise UserError(
            f"candidate row {row} has the step score {scores[at]:g}; scores must be finite{least}"
        )
