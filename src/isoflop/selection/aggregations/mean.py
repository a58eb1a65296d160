"""The mean of the step scores."""

import numpy as np

from isoflop.arrays import Floats
from isoflop.selection.aggregation import StepAggregation, StepScoreArrays


def _mean(steps: StepScoreArrays) -> Floats:
    mean: Floats = np.add.reduceat(steps.scores, steps.starts) / steps.counts
    return mean


AGGREGATION = StepAggregation(name="mean", order=4, combine=_mean)
