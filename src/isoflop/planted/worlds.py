"""Invented studies whose truth is known, to measure how often a verdict errs.

A world has policies of known ability and strategies of known worth. `World.study` measures it as a study
does: fresh problems, a finite pool of samples per problem whose credit at a budget is the expectation over
subsets of the pool, searches that run a few times. `World.truth` is the same evidence with every problem's
chance of being answered right in place of its credit, over many problems: what a statistic of a study
estimates is the same statistic of the truth.

Problems differ in difficulty, which all policies share; so strategies' credits are correlated, as they are in
a study.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import numpy as np
from scipy.special import expit
from scipy.stats import binom, hypergeom, norm

from isoflop.arrays import Bools, Floats, Ints
from isoflop.fits.bootstrap import problem_weights
from isoflop.fits.evidence import Evidence, Series
from isoflop.selection.best_of_k import missing_probability
from isoflop.strategy import Strategy

LEVELS = 5
# How many problems stand for all there are.
POPULATION = 20_000
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
    for the levels from easy to hard, whose mean is 1. `late`: added at the last budget, evenly over the
    logarithm of the budgets up to it.
    """

    points: float = 0.0
    by_level: tuple[float, ...] = (1.0,) * LEVELS
    late: float = 0.0


@dataclass(frozen=True)
class Planted:
    """One strategy of every policy.

    `runs`: None where its samples are the policy's pool, else how often it is run on its own. `own`: standard
    deviation, in log odds, of what is easy or hard for this strategy alone, which changes no mean. `cost`:
    its tokens over those of as many samples. `verified`: whether a verifier reads every sample.
    """

    strategy: Strategy
    budgets: tuple[int, ...]
    rule: Rule
    lift: Lift = Lift()
    runs: int | None = None
    own: float = 0.0
    pool: str = "first"
    cost: float = 1.0
    verified: bool = False


@dataclass(frozen=True)
class Problems:
    """Problems as drawn: `levels` (1 easiest) and by policy the log `odds` of one sample; each [P]."""

    levels: Ints
    odds: Mapping[str, Floats]

    def chance(self, policy: PlantedPolicy) -> Floats:
        """The chance that one sample of a policy is right, [P]."""
        chances: Floats = expit(self.odds[policy.name])
        return chances


@dataclass(frozen=True)
class World:
    """Policies from small to large, the strategies that each of them has, and the size of the pools.

    `lifts`: by policy and generator, in place of the strategies' lifts.
    """

    name: str
    policies: tuple[PlantedPolicy, ...]
    strategies: tuple[Planted, ...]
    pool: int = 64
    verifier_parameters: float = 1e6
    lifts: Mapping[tuple[str, str], Lift] = field(default_factory=dict)
    _known: dict[tuple[str, Planted], Floats] = field(default_factory=dict, repr=False, compare=False)

    def study(self, problems: int, seed: int, resamples: int = 200, level: float = 0.95) -> Evidence:
        """What a study of so many problems measures."""
        random = np.random.default_rng([seed, problems])
        drawn = self.problems(problems, random)
        series = {}
        for policy in self.policies:
            pools: dict[str, Bools] = {}
            for planted in self.strategies:
                if planted.runs is not None:
                    own = random.standard_normal(problems)
                    true = self.chances(policy, planted, drawn, own)
                    credits = random.binomial(planted.runs, true) / planted.runs
                else:
                    if planted.pool not in pools:
                        chance = drawn.chance(policy)[:, None]
                        pools[planted.pool] = random.random((problems, self.pool)) < chance
                    credits = _credits(planted, pools[planted.pool], random)
                series[policy.name, planted.strategy] = self._series(policy, planted, credits)
        return _evidence(drawn.levels, series, problem_weights(problems, resamples, seed), level)

    @cached_property
    def truth(self) -> Evidence:
        """Every problem's chances in place of credits, over many problems; the draws are the measurement.

        Budgets are finer than a study's, so that what a study errs by between two budgets is an error.
        """
        drawn, own = self.population
        series = {}
        for planted in self.strategies:
            finer = replace(planted, budgets=_finer(planted.budgets))
            for policy in self.policies:
                chances = self.chances(policy, finer, drawn, own)
                series[policy.name, planted.strategy] = self._series(policy, finer, chances)
        return _evidence(drawn.levels, series, np.full((2, POPULATION), 1.0 / POPULATION), 0.95)

    @cached_property
    def population(self) -> tuple[Problems, Floats]:
        """All problems, and a standard normal number for each that a strategy's `own` multiplies."""
        random = np.random.default_rng(0)
        even = norm.ppf((np.arange(POPULATION) + 0.5) / POPULATION)
        return self._problems(even, random), random.permutation(even)

    def problems(self, count: int, random: np.random.Generator) -> Problems:
        """So many problems, drawn."""
        return self._problems(random.standard_normal(count), random)

    def pool_credits(self, planted: Planted, right: Bools, random: np.random.Generator) -> Floats:
        """Credits at the budgets that a pool affords, `right` [P, size]: means over subsets, [m, P]."""
        budgets = tuple(budget for budget in planted.budgets if budget <= right.shape[1])
        return _credits(replace(planted, budgets=budgets), right, random)

    def _problems(self, difficulty: Floats, random: np.random.Generator) -> Problems:
        """`difficulty` is standard normal; levels are fifths of what is told of it."""
        seen = _TOLD * difficulty + np.sqrt(1.0 - _TOLD**2) * random.standard_normal(difficulty.size)
        levels = 1 + np.minimum((LEVELS * norm.cdf(seen)).astype(np.int64), LEVELS - 1)
        odds = {
            policy.name: policy.ability
            - _SPREAD * difficulty
            + policy.noise * random.standard_normal(difficulty.size)
            for policy in self.policies
        }
        return Problems(levels, odds)

    def chances(self, policy: PlantedPolicy, planted: Planted, problems: Problems, own: Floats) -> Floats:
        """The chance of a right answer, [m, P]."""
        odds = problems.odds[policy.name]
        plain = _true(planted.rule, planted.budgets, expit(odds + planted.own * own))
        if self._lift(policy, planted) == Lift() and planted.own == 0.0:
            return plain
        return _lifted(plain, self._scales(policy, planted)[:, problems.levels - 1])

    def _lift(self, policy: PlantedPolicy, planted: Planted) -> Lift:
        return self.lifts.get((policy.name, planted.strategy.generator), planted.lift)

    def _scales(self, policy: PlantedPolicy, planted: Planted) -> Floats:
        """What multiplies chance x (1 - chance) so that every level gains what it is to, [m, LEVELS]."""
        key = (policy.name, planted)
        if key not in self._known:
            lift = self._lift(policy, planted)
            problems, own = self.population
            odds = problems.odds[policy.name]
            plain = _true(planted.rule, planted.budgets, expit(odds))
            shifted = _true(planted.rule, planted.budgets, expit(odds + planted.own * own))
            places = np.log(np.array(planted.budgets) / planted.budgets[0])
            added = lift.points + lift.late * places / max(places[-1], 1.0)
            scales = np.empty((len(planted.budgets), LEVELS))
            for level in range(LEVELS):
                here = problems.levels == 1 + level
                wanted = plain[:, here].mean(axis=1) + added * lift.by_level[level]
                scales[:, level] = _scale(shifted[:, here], wanted)
            self._known[key] = scales
        return self._known[key]

    def _series(self, policy: PlantedPolicy, planted: Planted, credits: Floats) -> Series:
        budgets = np.array(planted.budgets, dtype=np.int64)
        return Series(policy.name, planted.strategy, budgets, credits, self.costs(policy, planted))

    def costs(self, policy: PlantedPolicy, planted: Planted) -> dict[str, Floats]:
        """FLOPs per problem by cost model, [m]."""
        samples = np.array(planted.budgets, dtype=np.float64) * planted.cost
        wu2024 = 2.0 * policy.parameters * _TOKENS * samples
        read = 2.0 * self.verifier_parameters * (_PROMPT + _TOKENS) * samples * planted.verified
        prompt = 2.0 * policy.parameters * _PROMPT
        return {"wu2024": wu2024, "kaplan": 1.05 * wu2024, "total": wu2024 + prompt + read}


def _finer(budgets: tuple[int, ...]) -> tuple[int, ...]:
    """The budgets, powers of 2 between them, and the means of neighbouring powers."""
    powers = {2**power for power in range(20)} | {3 * 2**power for power in range(20)}
    within = {budget for budget in powers if budgets[0] <= budget <= budgets[-1]}
    return tuple(sorted(within | set(budgets)))


def _lifted(plain: Floats, scale: Floats) -> Floats:
    """Chances with `scale` x chance x (1 - chance) added, within 0 and 1."""
    result: Floats = np.clip(plain + scale * plain * (1.0 - plain), 0.0, 1.0)
    return result


def _scale(plain: Floats, wanted: Floats) -> Floats:
    """The scales, [m], that lift the means of `plain`, [m, P], to `wanted`, [m]: by bisection."""
    low, high = np.full(wanted.size, -1.0), np.full(wanted.size, 8.0)
    for _ in range(26):
        middle = (low + high) / 2.0
        short = _lifted(plain, middle[:, None]).mean(axis=1) < wanted
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    scales: Floats = (low + high) / 2.0
    return scales


def _evidence(
    levels: Ints, series: Mapping[tuple[str, Strategy], Series], weights: Floats, level: float
) -> Evidence:
    names = [str(place) for place in range(levels.size)]
    return Evidence("planted", names, levels, series, weights, level)


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
            wrong_below = _wrong_below(rule, score)
            right, right_below = norm.pdf(score - rule.lead), norm.cdf(score - rule.lead)
            step = score[1] - score[0]
            below = grid[:, None] * right_below + (1.0 - grid[:, None]) * wrong_below
            rows = [
                (budget * grid[:, None] * right * below ** (budget - 1)).sum(axis=1) * step
                for budget in budgets
            ]
    return grid, np.array(rows)


def _wrong_below(rule: Best, score: Floats) -> Floats:
    """The share of wrong samples whose scores are below `score`."""
    result: Floats = (1.0 - rule.fooled) * norm.cdf(score) + rule.fooled * norm.cdf(score - rule.fooling)
    return result


@lru_cache(maxsize=256)
def _right_wins(rule: Vote, samples: int) -> Floats:
    """The chance that the right answer wins where j of `samples` are right, for j = 0 ... samples."""
    if rule.any_right:
        found: Floats = np.minimum(np.arange(samples + 1.0), 1.0)
        return found
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
