"""One score per candidate from its step scores: last, min, product or mean (Wu et al. 2024, section 3).

Candidates have different numbers of steps, so step scores come as one flat array in candidate order with
the number of steps of each candidate beside it.
"""

import numpy as np
from numpy.typing import ArrayLike

from isoflop.arrays import Floats, Ints
from isoflop.errors import UserError

STEP_AGGREGATIONS = ("last", "min", "product", "mean")


def aggregate_steps(
    step_scores: ArrayLike, step_counts: ArrayLike, pool_sizes: ArrayLike, aggregation: str
) -> Floats:
    """One score per candidate.

    `step_scores`: flat, shape [steps of all candidates]. `step_counts`: steps per candidate, shape
    [candidates]. `pool_sizes`: candidates per problem, in order, shape [problems]. `aggregation`: one of
    `STEP_AGGREGATIONS`.

    The product is returned relative to a power of two that is common to the pool: selection uses only the
    order and the ratios of scores within a pool, and so a product over many steps cannot underflow.

    Raises UserError for a candidate without steps, counts that do not add up, a score that is not finite,
    a negative score under "product", or an unknown aggregation.
    """
    scores = np.asarray(step_scores, dtype=np.float64)
    counts = np.asarray(step_counts, dtype=np.int64)
    sizes = np.asarray(pool_sizes, dtype=np.int64)
    _check(scores, counts, sizes, aggregation)
    if counts.size == 0:
        return np.zeros(0)
    starts = np.cumsum(counts) - counts
    result: Floats
    if aggregation == "last":
        result = scores[starts + counts - 1]
    elif aggregation == "min":
        result = np.minimum.reduceat(scores, starts)
    elif aggregation == "mean":
        result = np.add.reduceat(scores, starts) / counts
    else:
        result = _relative_products(scores, starts, counts, sizes)
    return result


def _relative_products(scores: Floats, starts: Ints, counts: Ints, sizes: Ints) -> Floats:
    """Products as mantissa and exponent, divided by 2 to the largest exponent in the pool."""
    mantissas, exponents = np.frexp(scores)
    product, exponent = mantissas[starts], exponents[starts].astype(np.int64)
    for position in range(1, int(counts.max())):
        rows = np.flatnonzero(counts > position)
        at = starts[rows] + position
        product[rows], carried = np.frexp(product[rows] * mantissas[at])
        exponent[rows] += exponents[at] + carried
    # A zero has exponent 0 whatever its steps were; it must not set the scale of the others.
    scale = np.where(product > 0, exponent, np.iinfo(np.int64).min // 2)
    pools = np.repeat(np.arange(sizes.size), sizes)
    largest = np.full(sizes.size, np.iinfo(np.int64).min // 2)
    np.maximum.at(largest, pools, scale)
    shift = np.where(product > 0, np.maximum(exponent - largest[pools], -2000), 0)
    relative: Floats = np.ldexp(product, shift.astype(np.int32))
    return relative


def _check(scores: Floats, counts: Ints, sizes: Ints, aggregation: str) -> None:
    if aggregation not in STEP_AGGREGATIONS:
        allowed = ", ".join(STEP_AGGREGATIONS)
        raise UserError(f"step_aggregation {aggregation!r} is unknown; use one of {allowed}")
    if np.any(counts < 1):
        row = int(np.argmax(counts < 1))
        raise UserError(f"candidate row {row} has no step scores; score every step of every candidate")
    if counts.sum() != scores.size or sizes.sum() != counts.size:
        raise UserError(
            f"{scores.size} step scores, {counts.size} candidates with {counts.sum()} steps and pools of "
            f"{sizes.sum()} candidates do not fit together; score the candidates again"
        )
    wrong = ~np.isfinite(scores)
    if aggregation == "product":
        wrong |= scores < 0
    if np.any(wrong):
        at = int(np.argmax(wrong))
        row = int(np.searchsorted(np.cumsum(counts), at, side="right"))
        raise UserError(
            f"candidate row {row} has the step score {scores[at]:g}; scores must be finite, and at least 0 "
            "for the step aggregation product"
        )
