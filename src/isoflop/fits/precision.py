"""How precisely a study of a given size will measure: half-widths of intervals, and problems that decide.

A latent-variable model of credits. Problem i has, for strategy A, a latent quality S_A(i) ~ N(0, 1). One
execution of A (a greedy answer, a vote over k samples, a search) is right where S_A(i) + sqrt(v_A) E exceeds
a threshold, E ~ N(0, 1) being drawn for every execution; the threshold gives A its accuracy m_A. Then:

- Executions of A and B on the same problem are both right with probability Phi2(m_A, m_B; r), the bivariate
  normal distribution function at the thresholds, with r = (q + w) / sqrt((1 + v_A)(1 + v_B)). Here
  q = corr(S_A, S_B) is what A and B agree on in every execution, w the noise that both executions share.
- S varies **between problems**, E **within a problem**. A vote over k samples has v = v_1 / sqrt(k): measured
  votes gain less than the 1 / k of an average, for on many problems the vote is close.
- A credit that is the mean over all k-subsets of a **pool** of n is E[vote | pool]: two subsets share
  w = v_1 / sqrt(n), the noise of the pool. So do two strategies that pick from the same pool.
- A search's credit is the mean of its **runs**: with probability 1 / runs two executions are one run, and
  share all noise; else none.
- The difference of two credits has the variance D = V_AA + V_BB - 2 V_AB - (m_A - m_B)^2 over problems, with
  V_AB = E[credit of A times credit of B] as above. Paired on P problems, the half-width of its interval is
  z sqrt(D / P).

Where accuracies are not known before a run, both sides of a comparison are taken to be equally accurate: the
forecast is for effects of a few points. A larger effect has a wider interval and is decided anyway.
"""

import math
from dataclasses import dataclass

from scipy.special import ndtri
from scipy.stats import multivariate_normal

# Constants are fitted, in round numbers, to measured half-widths of paired differences: of the studies in
# docs/studies (200 and 300 word problems, four policies of 0.1M to 2.7M parameters and one that revises) and
# of Llama-3.1-8B's samples on MATH-500.

# The noise v_1 of one sample at temperature 1. Direct estimates, (1 - r) / r with r the tetrachoric
# correlation of two samples' correctness over problems, are 0.19, 0.38 and 0.47 for three of those policies
# and 0.34 for Llama.
SAMPLE_NOISE = 0.25
# A greedy answer is nearly what a vote over many samples converges to.
GREEDY_NOISE = 0.005


@dataclass(frozen=True)
class Source:
    """What answers are picked from: a pool, or independent runs. Two strategies with the same share noise.

    Attributes
    ----------
    name
        Of the pool, or of what is run.
    noise
        The w that executions of one run share.
    runs
        How many there are.
    """

    name: str
    noise: float
    runs: int = 1


@dataclass(frozen=True)
class Side:
    """One strategy as measured.

    Attributes
    ----------
    accuracy
        In (0, 1).
    noise
        v of one execution.
    source
        Where it picks from.
    """

    accuracy: float
    noise: float
    source: Source


def both_right(first: float, second: float, correlation: float) -> float:
    """Phi2: probability that two correlated standard normals both stay below the quantiles of two chances.

    Parameters
    ----------
    first, second
        The chances, in (0, 1).
    correlation
        In [-1, 1].

    Returns
    -------
    A probability.
    """
    covariance = [[1.0, correlation], [correlation, 1.0]]
    return float(multivariate_normal.cdf(ndtri([first, second]), cov=covariance, allow_singular=True))


def votes_noise(votes: float) -> float:
    """The noise v of a vote.

    Parameters
    ----------
    votes
        How many samples vote, at least 1.

    Returns
    -------
    v, in units of the variance of quality between problems.
    """
    return SAMPLE_NOISE / math.sqrt(votes)


def credit_product(first: Side, second: Side, agreement: float) -> float:
    """E[credit of one times credit of the other] over problems.

    Parameters
    ----------
    first, second
        The strategies.
    agreement
        q, the correlation of their qualities over problems.

    Returns
    -------
    In [0, 1].
    """
    spread = math.sqrt((1 + first.noise) * (1 + second.noise))

    def both(shared: float) -> float:
        return both_right(first.accuracy, second.accuracy, min(1.0, (agreement + shared) / spread))

    if first.source != second.source:
        return both(0.0)
    same = 1 / first.source.runs
    return same * both(first.source.noise) + (1 - same) * both(0.0)


def difference_variance(first: Side, second: Side, agreement: float) -> float:
    """Variance over problems of the difference of two credits.

    Parameters
    ----------
    first, second
        The strategies.
    agreement
        q, the correlation of their qualities over problems.

    Returns
    -------
    D, at least 0.
    """
    squares = credit_product(first, first, 1.0) + credit_product(second, second, 1.0)
    product = credit_product(first, second, agreement)
    return max(0.0, squares - 2 * product - (first.accuracy - second.accuracy) ** 2)


def half_width(variance: float, problems: int, level: float = 0.95) -> float:
    """Half of the interval of a mean over problems.

    Parameters
    ----------
    variance
        Per problem.
    problems
        How many, at least 1.
    level
        Of the interval, in (0, 1).

    Returns
    -------
    z sqrt(D / P), at most 1.
    """
    return min(1.0, float(ndtri(0.5 + level / 2)) * math.sqrt(variance / problems))


def problems_to_decide(problems: int, half_width: float, effect: float) -> int | None:
    """Number of problems at which an interval around an effect just leaves out 0.

    Parameters
    ----------
    problems
        How many there were.
    half_width
        Of the interval that they gave, in the unit of `effect`.
    effect
        The mean difference.

    Returns
    -------
    ceil(problems (half_width / |effect|)^2), at least 1, as half-widths shrink with the square root; None for
    an effect of 0.
    """
    if effect == 0:
        return None
    # Rounding must not add a problem where the quotient is a whole number.
    return max(1, math.ceil(problems * (half_width / abs(effect)) ** 2 - 1e-9))
