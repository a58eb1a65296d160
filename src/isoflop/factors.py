"""How many times less compute one series needs than another, with its interval."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isoflop.bootstrap import percentile_interval
from isoflop.evidence import Evidence, Series
from isoflop.monotone import Line
from isoflop.savings import saved

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Factor:
    """A factor of compute; 0 where the accuracy is not reached within what was measured."""

    value: float
    low: float
    high: float

    @property
    def text(self) -> str:
        """To two significant digits: 3.1 times (1.2 to 6.0)."""
        if self.value == 0:
            return f"not reached ({_times(self.low)} to {_times(self.high)})"
        return f"{_times(self.value)} times ({_times(self.low)} to {_times(self.high)})"


def _times(value: float) -> str:
    if value == 0:
        return "not reached"
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def line(series: Series, cost: str, evidence: Evidence) -> Line:
    """A series over the logarithm of its compute, with the draws of its accuracy."""
    return Line(np.log(series.costs[cost]), (evidence.drawn @ series.credits.T).T)


def factor_saved(method: Series, baseline: Series, place: int, cost: str, evidence: Evidence) -> Factor:
    """How many times less compute `method` needs for what `baseline` has at its budget number `place`.

    Both are asked where their monotone curves first get there (isoflop.savings).
    """
    drawn = np.exp(saved(line(method, cost, evidence), line(baseline, cost, evidence), place))
    return Factor(float(drawn[0]), *percentile_interval(drawn[1:], evidence.level))
