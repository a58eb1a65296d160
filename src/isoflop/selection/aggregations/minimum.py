"""The lowest step score."""

import numpy as np

from isoflop.arrays import Floats
from isoflop.selection.aggregation import StepAggregation, StepScoreArrays


def _minimum(steps: StepScoreArrays) -> Floats:
    lowest: Floats = np.minimum.reduceat(steps.scores, steps.starts)
    return lowest


AGGREGATION = StepAggregation(name="min", order=2, combine=_minimum)
