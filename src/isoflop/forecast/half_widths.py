"""What half-width to expect of the interval of a comparison.

The model is in isoflop.fits.precision; here is what it takes two strategies to have in common.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from isoflop.config.planning import Planning
from isoflop.fits.precision import (
    GREEDY_NOISE,
    Side,
    Source,
    difference_variance,
    half_width,
    problems_to_decide,
    votes_noise,
)
from isoflop.forecast.comparisons import Comparison, Picked
from isoflop.strategy import NONE

# What two strategies agree on in every execution, q of isoflop.fits.precision, fitted with its others. Where
# they differ in several respects, the product.
_POLICIES = 0.9
_SEARCHES = 0.98
_CHAINS = 0.975
_SELECTORS: Mapping[frozenset[str], float] = {
    frozenset({"majority", "weighted"}): 0.975,
    frozenset({"majority", "best_of_n"}): 0.89,
    frozenset({"weighted", "best_of_n"}): 0.9,
}
_VOTES = frozenset({"majority", "weighted"})
# A search has voted by what it went on with: its own solutions' votes hardly differ by their weights.
_VOTED = 0.9995


@dataclass(frozen=True)
class Expected:
    """A comparison with the half-width to expect of its interval, and the problems that `decide` needs."""

    comparison: Comparison
    problems: int
    half_width: float
    needed: int


def expected(comparison: Comparison, planning: Planning, problems: int, level: float) -> Expected:
    """What to expect of one comparison."""
    left, right = (
        _side(pick, planning.accuracy_of(comparison.dataset, pick.policy))
        for pick in (comparison.left, comparison.right)
    )
    return _expected(comparison, left, right, planning, problems, level)


def expected_at(
    comparison: Comparison,
    accuracies: tuple[float, float],
    planning: Planning,
    problems: int,
    level: float,
) -> Expected:
    """The same where the accuracies of both sides are known."""
    left, right = (
        _side(pick, accuracy)
        for pick, accuracy in zip((comparison.left, comparison.right), accuracies, strict=True)
    )
    return _expected(comparison, left, right, planning, problems, level)


def _expected(
    comparison: Comparison, left: Side, right: Side, planning: Planning, problems: int, level: float
) -> Expected:
    variance = difference_variance(left, right, agreement(comparison.left, comparison.right))
    half = half_width(variance, problems, level)
    needed = problems_to_decide(problems, half, planning.decide)
    assert needed is not None  # what is to be decided is above 0
    return Expected(comparison, problems, half, needed)


def _side(pick: Picked, accuracy: float) -> Side:
    pool = f"{pick.policy}/{pick.generator}"
    if pick.kind == "greedy":
        return Side(accuracy, GREEDY_NOISE, Source(pool, GREEDY_NOISE))
    noise = votes_noise(pick.budget)
    if pick.kind == "search":
        return Side(accuracy, noise, Source(f"{pool}/{pick.budget}", noise, pick.runs))
    return Side(accuracy, noise, Source(pool, votes_noise(pick.pool)))


def agreement(left: Picked, right: Picked) -> float:
    """The correlation of two strategies' latent qualities over problems."""
    correlation = 1.0
    if left.policy != right.policy:
        correlation *= _POLICIES
    if left.generator != right.generator:
        correlation *= _SEARCHES if "search" in (left.kind, right.kind) else 1.0
        correlation *= _CHAINS if "chains" in (left.kind, right.kind) else 1.0
    selectors = frozenset(_selector(side, left.generator != right.generator) for side in (left, right))
    if left.kind == "search" and left.generator == right.generator and selectors == _VOTES:
        return correlation * _VOTED
    return correlation * _SELECTORS.get(selectors, 1.0)


def _selector(pick: Picked, elsewhere: bool) -> str:
    """What a strategy selects by, as others see it; `elsewhere`: compared with another generator."""
    # A greedy answer is what most samples say, and a search's votes have a verifier's weights already.
    if pick.selector == NONE:
        return "majority"
    return (
        "weighted" if elsewhere and pick.kind == "search" and pick.selector == "majority" else pick.selector
    )
