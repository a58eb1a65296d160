"""Invented studies whose truth is known, to measure how often a verdict errs.

A world has policies of known ability and strategies of known worth. `World.draw` measures it as a study does:
fresh problems, a finite pool of samples per problem whose credit at a budget is the expectation over subsets
of the pool, searches that run a few times. `World.truth` is the same table with every problem's chance of
being answered right in place of its credit, over many problems: what a statistic of a draw estimates is the
same statistic of the truth.

Problems differ in difficulty, which all policies share; so strategies' credits are correlated, as they are in
a study.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import binom, hypergeom, norm

from isoflop.estimators import missing_probability

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

LEVELS = 5
# How many problems stand for all there are.
POPULATION = 40_000
# Log odds by which a problem one standard deviation harder is harder.
_SPREAD = 2.0
# How much levels tell of difficulty, as a correlation.
_TOLD = 0.6
# Share of wrong samples that agree on one answer, and how unsure a weighted vote is.
_AGREED, _UNSURE = 0.5, 0.5
# Chances are tabled at this many chances of one sample and interpolated between.
_GRID = 1001
# Tokens of one sample, of the prompt.
_TOKENS, _PROMPT = 100, 60


@dataclass(frozen=True)
class PlantedPolicy:
    """A model. `ability`: the log odds that one sample solves a problem of mean difficulty. `noise`: standard
    deviation, in log odds, of what is hard for this model alone.
    """

    name: str
    parameters: float
    ability: float = 0.0
    noise: float = 1.0
    family: str = "planted"


@dataclass(frozen=True)
class Vote:
    """Samples vote; half of the wrong ones agree on one answer, the others stand alone.

    `weight`: what a right vote counts; 1 is majority voting, anything else a verifier's weighted vote. `cap`:
    accuracy is flat from this many samples on. `any_right`: one right sample is enough (pass@k).
    """

    weight: float = 1.0
    cap: int = 10**6
    any_right: bool = False


@dataclass(frozen=True)
class Best:
    """The highest score answers. Scores are normal: right samples about `lead`, wrong ones about 0, but a
    share `fooled` of the wrong ones about `fooling`.
    """

    lead: float = 1.0
    fooled: float = 0.0
    fooling: float = 3.0


@dataclass(frozen=True)
class Greedy:
    """One answer, the likelier one the surer the model is. `sharpness` multiplies a sample's log odds."""

    sharpness: float = 1.5


Rule = Vote | Best | Greedy


@dataclass(frozen=True)
class Lift:
    """What a search adds to the accuracy of the rule that it is like, as a fraction.

    Within a level it goes where there is room, in proportion to chance x (1 - chance). `by_level`: factors
    for the levels from easy to hard, whose mean is 1. `late`: added at the last budget, in even steps up to it.
    """

    points: float = 0.0
    by_level: tuple[float, ...] = (1.0,) * LEVELS
    late: float = 0.0


@dataclass(frozen=True)
class Planted:
    """One strategy of every policy. `generator`, `selector`, `verifier`, `step_aggregation`: its name.

    `runs`: None where its samples are the policy's pool, else how often it is run on its own. `cost`: its
    tokens over those of as many samples. `verified`: whether a verifier reads every sample.
    """

    generator: str
    selector: str
    budgets: tuple[int, ...]
    rule: Rule
    verifier: str = "none"
    step_aggregation: str = "none"
    lift: Lift = Lift()
    runs: int | None = None
    pool: str = "first"
    cost: float = 1.0
    verified: bool = False


@dataclass(frozen=True)
class Problems:
    """Problems as drawn: `levels` (1 easiest) and by policy the `chance` of one sample; each [P]."""

    levels: Ints
    chance: Mapping[str, Floats]


@dataclass(frozen=True)
class Measured:
    """One curve: `credits` [m, P]; `costs` by cost model, FLOPs per problem, [m]."""

    policy: PlantedPolicy
    planted: Planted
    credits: Floats
    costs: Mapping[str, Floats]


@dataclass(frozen=True)
class World:
    """Policies from small to large, the strategies that each of them has, and the size of the pools."""

    name: str
    policies: tuple[PlantedPolicy, ...]
    strategies: tuple[Planted, ...]
    pool: int = 64
    verifier_parameters: float = 1e6
    lifts: Mapping[tuple[str, str, str], Lift] = field(default_factory=dict)
    _known: dict[tuple[str, Planted], Floats] = field(default_factory=dict, repr=False, compare=False)

    def draw(self, problems: int, seed: int) -> tuple[Problems, list[Measured]]:
        """A study of so many problems."""
        random = np.random.default_rng([seed, problems])
        drawn = self._problems(random.standard_normal(problems), random)
        found = []
        for policy in self.policies:
            chance = drawn.chance[policy.name]
            pools: dict[str, Bools] = {}
            for planted in self.strategies:
                if planted.runs is not None:
                    true = self._chances(policy, planted, drawn)
                    credits = random.binomial(planted.runs, true) / planted.runs
                else:
                    if planted.pool not in pools:
                        pools[planted.pool] = random.random((problems, self.pool)) < chance[:, None]
                    credits = _credits(planted, pools[planted.pool], random)
                found.append(Measured(policy, planted, credits, self._costs(policy, planted)))
        return drawn, found

    @cached_property
    def truth(self) -> tuple[Problems, list[Measured]]:
        """Every problem's chances in place of credits, over many problems."""
        return self._population, [
            Measured(
                policy,
                planted,
                self._chances(policy, planted, self._population),
                self._costs(policy, planted),
            )
            for policy in self.policies
            for planted in self.strategies
        ]

    @cached_property
    def _population(self) -> Problems:
        even = norm.ppf((np.arange(POPULATION) + 0.5) / POPULATION)
        return self._problems(even, np.random.default_rng(0))

    def _problems(self, difficulty: Floats, random: np.random.Generator) -> Problems:
        """`difficulty` is standard normal; levels are fifths of what is told of it."""
        seen = _TOLD * difficulty + np.sqrt(1.0 - _TOLD**2) * random.standard_normal(difficulty.size)
        levels = 1 + np.minimum((LEVELS * norm.cdf(seen)).astype(np.int64), LEVELS - 1)
        chance = {
            policy.name: expit(
                policy.ability
                - _SPREAD * difficulty
                + policy.noise * random.standard_normal(difficulty.size)
            )
            for policy in self.policies
        }
        return Problems(levels, chance)

    def _chances(self, policy: PlantedPolicy, planted: Planted, problems: Problems) -> Floats:
        """The chance of a right answer, [m, P]."""
        plain = _true(planted.rule, planted.budgets, problems.chance[policy.name])
        lift = self._lift(policy, planted)
        if lift == Lift():
            return plain
        scale = self._scales(policy, planted)[:, problems.levels - 1]
        return _lifted(plain, scale)

    def _lift(self, policy: PlantedPolicy, planted: Planted) -> Lift:
        return self.lifts.get((policy.name, planted.generator, planted.selector), planted.lift)

    def _scales(self, policy: PlantedPolicy, planted: Planted) -> Floats:
        """What multiplies chance x (1 - chance) so that every level gains what it is to, [m, LEVELS]."""
        key = (policy.name, planted)
        if key not in self._known:
            lift = self._lift(policy, planted)
            plain = _true(planted.rule, planted.budgets, self._population.chance[policy.name])
            wanted = lift.points + np.linspace(0.0, lift.late, len(planted.budgets))
            scales = np.empty((len(planted.budgets), LEVELS))
            for level in range(LEVELS):
                here = plain[:, self._population.levels == 1 + level]
                scales[:, level] = _scale(here, wanted * lift.by_level[level])
            self._known[key] = scales
        return self._known[key]

    def _costs(self, policy: PlantedPolicy, planted: Planted) -> dict[str, Floats]:
        samples = np.array(planted.budgets, dtype=np.float64) * planted.cost
        wu2024 = 2.0 * policy.parameters * _TOKENS * samples
        read = 2.0 * self.verifier_parameters * (_PROMPT + _TOKENS) * samples * planted.verified
        prompt = 2.0 * policy.parameters * _PROMPT
        return {"wu2024": wu2024, "kaplan": 1.05 * wu2024, "total": wu2024 + prompt + read}


def _lifted(plain: Floats, scale: Floats) -> Floats:
    """Chances with `scale` x chance x (1 - chance) added, within 0 and 1."""
    result: Floats = np.clip(plain + scale * plain * (1.0 - plain), 0.0, 1.0)
    return result


def _scale(plain: Floats, wanted: Floats) -> Floats:
    """The scales that lift the mean of `plain`, [m, P], by `wanted`, [m]: by bisection."""
    low, high = np.full((2, wanted.size), 0.0)
    low, high = np.where(wanted < 0.0, -1.0, 0.0), np.where(wanted < 0.0, 0.0, 8.0)
    base = plain.mean(axis=1)
    for _ in range(40):
        middle = (low + high) / 2.0
        short = _lifted(plain, middle[:, None]).mean(axis=1) - base < wanted
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return (low + high) / 2.0


def _true(rule: Rule, budgets: tuple[int, ...], chance: Floats) -> Floats:
    """The chance that an answer is right, [m, P], where one sample's is `chance`, [P]."""
    grid, table = _grid_table(rule, budgets)
    position = chance * (grid.size - 1)
    left = np.minimum(position.astype(np.int64), grid.size - 2)
    share = position - left
    result: Floats = np.clip(table[:, left] * (1.0 - share) + table[:, left + 1] * share, 0.0, 1.0)
    return result


@lru_cache(maxsize=256)
def _grid_table(rule: Rule, budgets: tuple[int, ...]) -> tuple[Floats, Floats]:
    """The chances of one sample, [g], and those of the answer, [m, g]."""
    grid = np.linspace(0.0, 1.0, _GRID)
    match rule:
        case Greedy():
            odds = np.log(np.clip(grid, 1e-12, 1.0)) - np.log(np.clip(1.0 - grid, 1e-12, 1.0))
            rows = [expit(rule.sharpness * odds)] * len(budgets)
        case Vote():
            rows = []
            for budget in budgets:
                samples = min(budget, rule.cap)
                counts = np.arange(samples + 1)
                rows.append(_right_wins(rule, samples) @ binom.pmf(counts[:, None], samples, grid))
        case Best():
            score = np.linspace(-6.0, 6.0 + max(rule.lead, rule.fooling), 4001)
            wrong, wrong_below = _wrong_scores(rule, score)
            right, right_below = norm.pdf(score - rule.lead), norm.cdf(score - rule.lead)
            step = score[1] - score[0]
            below = grid[:, None] * right_below + (1.0 - grid[:, None]) * wrong_below
            rows = [
                (budget * grid[:, None] * right * below ** (budget - 1)).sum(axis=1) * step
                for budget in budgets
            ]
    return grid, np.array(rows)


def _wrong_scores(rule: Best, score: Floats) -> tuple[Floats, Floats]:
    """Density and distribution of wrong samples' scores."""
    parts = ((1.0 - rule.fooled, 0.0), (rule.fooled, rule.fooling))
    density = sum(share * norm.pdf(score - place) for share, place in parts)
    below = sum(share * norm.cdf(score - place) for share, place in parts)
    return density, below


@lru_cache(maxsize=256)
def _right_wins(rule: Vote, samples: int) -> Floats:
    """The chance that the right answer wins where j of `samples` are right, for j = 0 ... samples."""
    if rule.any_right:
        return np.minimum(np.arange(samples + 1.0), 1.0)
    wins = np.zeros(samples + 1)
    wins[samples] = 1.0
    for right in range(1, samples):
        wrong = samples - right
        agreed = np.arange(wrong + 1)
        share = binom.pmf(agreed, wrong, _AGREED)
        lead = rule.weight * right - np.maximum(agreed, 1)
        if rule.weight == 1.0:
            won = (lead > 0) + 0.5 * (lead == 0)
        else:
            won = norm.cdf(lead / (_UNSURE * np.sqrt(samples)))
        wins[right] = float(share @ won)
    return wins


@lru_cache(maxsize=256)
def _pool_table(rule: Vote, budgets: tuple[int, ...], size: int) -> Floats:
    """The mean over subsets of a pool with c right samples, by budget and c, [m, size + 1]."""
    rows = []
    for budget in budgets:
        samples = min(budget, rule.cap)
        counts = np.arange(samples + 1)
        chances = hypergeom.pmf(counts[:, None], size, np.arange(size + 1)[None], samples)
        rows.append(_right_wins(rule, samples) @ chances)
    return np.array(rows)


def _credits(planted: Planted, right: Bools, random: np.random.Generator) -> Floats:
    """Credits from pools, `right` [P, size]: the mean over subsets of every budget's size, [m, P]."""
    rule, budgets, size = planted.rule, planted.budgets, right.shape[1]
    if planted.lift != Lift():
        raise ValueError("what a pool gives follows from its rule: give a lift to what is run on its own")
    match rule:
        case Vote():
            result: Floats = _pool_table(rule, budgets, size)[:, right.sum(axis=1)]
        case Best():
            fooling = random.random(right.shape) < rule.fooled
            places = np.where(right, rule.lead, np.where(fooling, rule.fooling, 0.0))
            order = np.argsort(places + random.standard_normal(right.shape), axis=1)
            top = np.diff(missing_probability(size, budgets), axis=1)
            result = top @ np.take_along_axis(right, order, axis=1).T
        case Greedy():
            raise ValueError("greedy is run on its own, once")
    return result
