"""The product of the step scores, which must not be negative."""

import numpy as np

from isoflop.arrays import Floats
from isoflop.selection.aggregation import StepAggregation, StepScoreArrays


def _relative_products(steps: StepScoreArrays) -> Floats:
    """Products as mantissa and exponent, divided by 2 to the largest exponent in the pool.

    Selection uses only the order and the ratios of scores within a pool, and so a product over many steps
    cannot underflow.
    """
    mantissas, exponents = np.frexp(steps.scores)
    product, exponent = mantissas[steps.starts], exponents[steps.starts].astype(np.int64)
    for position in range(1, int(steps.counts.max())):
        rows = np.flatnonzero(steps.counts > position)
        at = steps.starts[rows] + position
        product[rows], carried = np.frexp(product[rows] * mantissas[at])
        exponent[rows] += exponents[at] + carried
    # A zero has exponent 0 whatever its steps were; it must not set the scale of the others.
    scale = np.where(product > 0, exponent, np.iinfo(np.int64).min // 2)
    pools = np.repeat(np.arange(steps.pool_sizes.size), steps.pool_sizes)
    largest = np.full(steps.pool_sizes.size, np.iinfo(np.int64).min // 2)
    np.maximum.at(largest, pools, scale)
    shift = np.where(product > 0, np.maximum(exponent - largest[pools], -2000), 0)
    relative: Floats = np.ldexp(product, shift.astype(np.int32))
    return relative


AGGREGATION = StepAggregation(name="product", order=3, combine=_relative_products, at_least_zero=True)
