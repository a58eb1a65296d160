"""The last step's score."""

from isoflop.arrays import Floats
from isoflop.selection.aggregation import StepAggregation, StepScoreArrays


def _last(steps: StepScoreArrays) -> Floats:
    last: Floats = steps.scores[steps.starts + steps.counts - 1]
    return last


AGGREGATION = StepAggregation(name="last", order=1, combine=_last)
