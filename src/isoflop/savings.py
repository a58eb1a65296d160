"""Compute saved at an accuracy that the baseline itself has not reached long before.

A baseline that stopped gaining has at its largest budget what it had at a fraction of it: against that, the
baseline would save compute over itself. So the accuracy to reach is that at the knee, the least budget after
which the baseline gains next to nothing, and both are asked where they first get there: the baseline's own
first reach over the method's. A strategy saves exactly nothing over itself, in every draw. A rival that is
truly alike but has luck of its own may get to a plateau early, more often late, or not at all within what was
measured: there the factor alone says little, and its interval, which reaches to "not at all", has to be read.
"""

import numpy as np
from numpy.typing import NDArray

from isoflop.monotone import Line

Floats = NDArray[np.float64]

# The gain from all further budgets that is next to nothing: half a point.
LITTLE = 0.005


def knee(accuracy: Floats) -> int:
    """The place of the least budget after which accuracy rises by less than half a point in all.

    `accuracy`: as measured, by rising budget, [budgets], at least one. What counts is the most that any
    budget so far has reached.
    """
    reached = np.maximum.accumulate(accuracy)
    return int(np.argmax(reached[-1] - reached < LITTLE))


def saved(line: Line, baseline: Line, place: int) -> Floats:
    """How much less compute `line` needs than `baseline` for the latter's accuracy at `place`, [1 + draws].

    The log of (least compute at which the baseline's monotone curve is there) / (the same for `line`). In
    each draw the accuracy is the baseline's in that draw. Positive where compute is saved; minus infinity
    where `line` does not get there within what was measured. Where a line starts above the accuracy, its
    least compute is that of its first point.
    """
    target = baseline.draws[place]
    log_factor: Floats = baseline.first_reached(target) - line.first_reached(target)
    return log_factor
