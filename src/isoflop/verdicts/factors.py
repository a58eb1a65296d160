"""How many times less compute one series needs than another, with its interval.

What is to be reached is within a point of the baseline's best, in every bootstrap replicate its own: both
curves are then told from where they first get there. Against the accuracy at the baseline's largest budget, a
baseline that stopped gaining would save compute over itself; against the accuracy at a knee that is picked
from the measurement, intervals miss the truth too often (docs/design/verdicts.md has both rates).
"""

from dataclasses import dataclass

import numpy as np

from isoflop.arrays import Floats
from isoflop.fits.bootstrap import percentile_interval
from isoflop.fits.evidence import Evidence, Series
from isoflop.fits.interpolation import Line
from isoflop.verdicts.statements import widened_error

# How far below its best a baseline still counts as there.
SHORT = 0.01


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
            return f"not reached (at most {times(self.high)} times)" if self.high else "not reached"
        return f"{times(self.value)} times ({times(self.low)} to {times(self.high)})"


def times(value: float) -> str:
    """A factor to two significant digits: 3.1, 160, 1,100; `not reached` for 0."""
    if value == 0:
        return "not reached"
    return f"{float(f'{value:.2g}'):,.0f}" if value >= 10 else f"{value:.2g}"


def line(series: Series, cost: str, evidence: Evidence) -> Line:
    """A series over the logarithm of its compute, with the replicates of its accuracy.

    Where few problems differ, replicates are too close to what was measured; they are spread as far as the
    widened standard error says.
    """
    draws = (evidence.drawn @ series.credits.T).T
    spread = draws[:, 1:].std(axis=1, keepdims=True)
    widened = np.maximum(spread, widened_error(series.credits)[:, None])
    scale = np.divide(widened, spread, out=np.ones_like(spread), where=spread > 0)
    return Line(np.log(series.costs[cost]), draws[:, :1] + (draws - draws[:, :1]) * scale)


def _close(baseline: Line) -> Floats:
    """The accuracy a point below a line's best, in every replicate its own, [1 + draws]."""
    target: Floats = baseline.draws.max(axis=0) - SHORT
    return target


def near_best(baseline: Line) -> Floats:
    """The log of the least compute that comes within a point of a line's best, [1 + draws]."""
    return baseline.first_reached(_close(baseline))


def saved_near_best(method: Line, baseline: Line) -> Floats:
    """How much less compute `method` needs to come within a point of the baseline's best, [1 + draws].

    The logarithm of the factor: positive where compute is saved, 0 for a line against itself, minus infinity
    where the method does not get there.
    """
    saved: Floats = near_best(baseline) - method.first_reached(_close(baseline))
    return saved


def factor_saved(method: Series, baseline: Series, cost: str, evidence: Evidence) -> Factor:
    """How many times less compute `method` needs to come within a point of the baseline's best.

    Between two budgets a bending curve is above its line. So the value is read off the lines, but the
    interval counts the one from its first measured budget that gets there and the other from the budget
    before, at its two ends the other way round.
    """
    if method is baseline:
        return Factor(1.0, 1.0, 1.0)
    method_line, baseline_line = line(method, cost, evidence), line(baseline, cost, evidence)
    target = _close(baseline_line)
    before, after = method_line.reached_between(target)
    baseline_before, baseline_after = baseline_line.reached_between(target)
    value = float(np.exp(saved_near_best(method_line, baseline_line)[0]))
    low, high = (
        percentile_interval(np.exp(edge)[1:], evidence.level)[side]
        for side, edge in enumerate((baseline_before - after, baseline_after - before))
    )
    return Factor(value, min(low, value), max(high, value))
