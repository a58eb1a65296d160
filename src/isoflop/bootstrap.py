"""Intervals by bootstrap over problems, paired across strategies.

One matrix of problem weights serves every strategy, model and budget on the same problems, so a difference
of two accuracies has an interval too, and common luck with the problems cancels in it. Each subset of
problems (a level) is bootstrapped on its own problems, with weights of its own: no draw can be without a
problem of the subset.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from isoflop.seeds import derive_seed

Floats = NDArray[np.float64]

# Credits closer than this are the same up to rounding: resampling them cannot show any spread.
_NO_SPREAD = 1e-9


class Interval(NamedTuple):
    """A two-sided confidence interval; both ends are attainable values."""

    low: float
    high: float


def problem_weights(problem_count: int, draws: int, seed: int, subset: str = "all") -> Floats:
    """Bootstrap weights: how often each problem is drawn, over the number of problems.

    Returns shape [draws, problem_count]; rows sum to 1, so `weights @ credits` is the accuracy of each draw.
    Fixed by the arguments alone: pass the same seed, and the problems in the same order, for everything that
    is compared. For a subset pass its number of problems and its name.
    Raises ValueError without problems or draws.
    """
    if problem_count < 1 or draws < 1:
        raise ValueError(f"a bootstrap needs a problem and a draw, not {problem_count} and {draws}")
    generator = np.random.default_rng(derive_seed("bootstrap", seed, subset))
    counts = generator.multinomial(problem_count, np.full(problem_count, 1.0 / problem_count), size=draws)
    weights: Floats = counts / problem_count
    return weights


def accuracy_interval(credits: Floats, weights: Floats, confidence: float = 0.95) -> Interval:
    """Percentile interval of the mean credit over problems.

    `credits`: shape [problems], in [0, 1]. `weights`: shape [draws, problems] from `problem_weights`.

    Where all problems have the same credit (an accuracy of exactly 0 or 1, say), no draw differs and the
    bootstrap would claim certainty. Then: with P problems, at most a share z^2 / (P + z^2) of problems has
    another credit (Wilson's bound for 0 of P), each at worst 0 or 1, and the interval is widened by that.
    A single problem says nothing about others: [0, 1].
    """
    return _interval(credits, weights @ credits, confidence, 0.0, 1.0)


def difference_interval(first: Floats, second: Floats, weights: Floats, confidence: float = 0.95) -> Interval:
    """Percentile interval of mean(first) - mean(second), paired by problem.

    Shapes as in `accuracy_interval`. Two strategies that differ by the same amount on every problem get the
    widening described there, within [-1, 1]; a single problem gives [-1, 1].
    """
    difference = first - second
    return _interval(difference, weights @ difference, confidence, -1.0, 1.0)


def percentile_interval(samples: Floats, confidence: float = 0.95) -> Interval:
    """The central interval of bootstrap draws, shape [draws]; infinite draws are allowed, NaN is not."""
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(samples, [tail, 1.0 - tail], method="nearest")
    return Interval(float(low), float(high))


def _interval(values: Floats, samples: Floats, confidence: float, floor: float, ceiling: float) -> Interval:
    if values.size == 1:
        return Interval(floor, ceiling)
    if np.ptp(values) > _NO_SPREAD:
        low, high = percentile_interval(samples, confidence)
        return Interval(max(low, floor), min(high, ceiling))
    z_squared = float(ndtri(0.5 + confidence / 2.0)) ** 2
    share, value = z_squared / (values.size + z_squared), float(values[0])
    return Interval(value - share * (value - floor), value + share * (ceiling - value))
