"""What the headline's gains are: paired differences whose intervals hold jointly, each with its price.

`tables/headline.csv` has them all; every sentence of the report about a gain takes its numbers from here.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import pandas as pd

from isoflop.arrays import Floats
from isoflop.claims.wu2024 import Setting
from isoflop.estimate import Estimate, number
from isoflop.fits.evidence import Evidence, Series
from isoflop.fits.tables import FEWEST_SAMPLES
from isoflop.registries import CLAIM_COSTS
from isoflop.strategy import NONE, Strategy
from isoflop.verdicts.statements import critical_value, mean_element

Key = TypeVar("Key", bound=Hashable)

OVER_GREEDY = "over one greedy answer of the same model"
OVER_NEXT_GREEDY = "over one greedy answer of the next size"
OVER_SAMPLING = "over samples at equal compute"
OVER_MAJORITY = "over majority voting"

# An accuracy this close to that at the largest budget counts as saturated.
NEAR = 0.01
_VOTES = ("majority", "weighted")

COLUMNS = (
    "experiment", "dataset", "sentence", "strategy", "budget", "part", "cost_model", "gain", "gain_low",
    "gain_high",
)  # fmt: skip


@dataclass(frozen=True)
class Gain:
    """One part of a sentence.

    `strategy`, `budget`: what gains. `cost_model`: where compute is equal, at which cost; else empty.
    `prices`: its compute over the baseline's by cost model. The interval holds jointly with those of the same
    sentence's other parts.
    """

    sentence: str
    strategy: str
    budget: int
    part: str
    cost_model: str
    prices: Mapping[str, float]
    gain: Estimate


def jointly(values: Mapping[Key, Floats], evidence: Evidence) -> dict[Key, Estimate]:
    """Means over problems with intervals that hold jointly. `values`: vectors of problems by part."""
    elements = {name: mean_element(vector, evidence) for name, vector in values.items()}
    if not elements:
        return {}
    critical = critical_value(list(elements.values()), evidence.level)
    return {name: Estimate(element.value, *element.within(critical)) for name, element in elements.items()}


def greedy_of(evidence: Evidence, about: Setting, policy: str) -> Series | None:
    """A policy's greedy answers."""
    series = (evidence.get(policy, strategy) for strategy in about.strategies if strategy.selector == NONE)
    return next((measured for measured in series if measured is not None), None)


def over_greedy_gains(evidence: Evidence, about: Setting) -> list[Gain]:
    """The headline's strategy at its largest budget against one greedy answer of the same model."""
    pairs = {policy: (policy, policy) for policy in about.policies}
    return _over(OVER_GREEDY, pairs, evidence, about)


def over_next_greedy_gains(evidence: Evidence, about: Setting) -> list[Gain]:
    """The same against one greedy answer of the next size of the family."""
    pairs = {f"{small} over {large}": (small, large) for small, large in about.pairs()}
    return _over(OVER_NEXT_GREEDY, pairs, evidence, about)


def search_gains(evidence: Evidence, about: Setting, search: str, cost: str) -> list[Gain]:
    """A search at its largest budget against samples at equal compute, selected alike."""
    strategy, evidence = replace(about.headline, generator=search), evidence.under(cost)
    values, searches_of = {}, {}
    for policy in about.policies:
        searched, sampled = evidence.get(policy, strategy), evidence.get(policy, about.headline)
        if searched is None or sampled is None or search == about.headline.generator:
            continue
        bought = sampled.at_cost(float(searched.costs[cost][-1]), cost)
        if bought is not None:
            values[policy], searches_of[policy] = searched.credits[-1] - bought, searched
    equal = {cost: 1.0}
    return [
        Gain(OVER_SAMPLING, strategy.short, int(searches_of[name].budgets[-1]), name, cost, equal, gain)
        for name, gain in jointly(values, evidence).items()
    ]


def weighted_gains(evidence: Evidence, about: Setting, budget: int) -> list[Gain]:
    """Weighted against majority voting over the same samples."""
    pair = [about.selecting(name) for name in ("weighted", "majority")]
    values, prices = {}, {}
    for policy in about.policies:
        series = [evidence.get(policy, measured) for measured in pair]
        credits = [None if measured is None else measured.at_budget(budget) for measured in series]
        if series[0] is None or series[1] is None or credits[0] is None or credits[1] is None:
            continue
        values[policy] = credits[0] - credits[1]
        at = [int(np.searchsorted(measured.budgets, budget)) for measured in series if measured is not None]
        prices[policy] = {
            cost: float(series[0].costs[cost][at[0]] / series[1].costs[cost][at[1]]) for cost in about.costs
        }
    name = "" if pair[0] is None else pair[0].short
    return [
        Gain(OVER_MAJORITY, name, budget, policy, "", prices[policy], gain)
        for policy, gain in jointly(values, evidence).items()
    ]


def _over(
    sentence: str, pairs: Mapping[str, tuple[str, str]], evidence: Evidence, about: Setting
) -> list[Gain]:
    values, series_of = {}, {}
    for name, (policy, other) in pairs.items():
        most, greedy = evidence.get(policy, about.headline), greedy_of(evidence, about, other)
        if most is not None and greedy is not None:
            values[name] = most.credits[-1] - greedy.credits[0]
            series_of[name] = most, greedy
    gains = []
    for name, gain in jointly(values, evidence).items():
        most, greedy = series_of[name]
        prices = {cost: float(most.costs[cost][-1] / greedy.costs[cost][0]) for cost in about.costs}
        gains.append(Gain(sentence, about.headline.short, int(most.budgets[-1]), name, "", prices, gain))
    return gains


@dataclass(frozen=True)
class Fall:
    """What best-of-n of a policy loses from its `peak` to its last budget, `most`."""

    peak: int
    most: int
    loss: Estimate


def falls_of_best(evidence: Evidence, about: Setting) -> dict[str, Fall]:
    """Where best-of-n is worse with its most samples than with fewer, by policy: the deepest fall shown.

    The peak is picked, so the picking is under control: intervals of all falls from any budget of any model
    to its last hold jointly.
    """
    drops: dict[tuple[str, int], Floats] = {}
    most = {}
    for policy in about.policies:
        series = evidence.get(policy, about.selecting("best_of_n"))
        if series is not None:
            most[policy] = int(series.budgets[-1])
            for index, budget in enumerate(series.budgets[:-1].tolist()):
                drops[policy, budget] = series.credits[-1] - series.credits[index]
    shown: dict[str, Fall] = {}
    for (policy, budget), loss in jointly(drops, evidence).items():
        if loss.high < 0 and (policy not in shown or loss.value < shown[policy].loss.value):
            shown[policy] = Fall(budget, most[policy], loss)
    return shown


@dataclass(frozen=True)
class Saturation:
    """From how many samples on a policy stays near what it has with `most`; None: not shown of any."""

    start: int | None
    most: int


def voting(about: Setting) -> Strategy | None:
    """The headline's strategy where it votes, else majority voting."""
    return about.headline if about.headline.selector in _VOTES else about.selecting("majority")


def saturations(evidence: Evidence, about: Setting) -> dict[str, Saturation]:
    """Where voting is shown to saturate, by policy.

    Shown where all differences from there on have intervals, which hold jointly, within `NEAR` either way.
    Pools of fewer than FEWEST_SAMPLES show nothing and are left out.
    """
    gaps: dict[tuple[str, int], Floats] = {}
    by_policy = {}
    for policy in about.policies:
        series = evidence.get(policy, voting(about))
        if series is not None and series.budgets[-1] >= FEWEST_SAMPLES:
            by_policy[policy] = Saturation(None, int(series.budgets[-1]))
            for index, budget in enumerate(series.budgets[:-1].tolist()):
                gaps[policy, budget] = series.credits[index] - series.credits[-1]
    near = {key: max(abs(gap.low), abs(gap.high)) <= NEAR for key, gap in jointly(gaps, evidence).items()}
    for policy, budget in sorted(near, key=lambda key: -key[1]):
        # From the largest down, until one is not near.
        if near[policy, budget] and all(near[key] for key in near if key[0] == policy and key[1] > budget):
            by_policy[policy] = replace(by_policy[policy], start=budget)
    return by_policy


def all_gains(evidence: Evidence, about: Setting, searches: Sequence[str], budget: int) -> Iterator[Gain]:
    """Every gain that the headlines tell. `budget`: the largest that all samples have in common."""
    yield from over_greedy_gains(evidence, about)
    yield from over_next_greedy_gains(evidence, about)
    for search in searches:
        for cost in reversed(about.costs):
            yield from search_gains(evidence, about, search, cost)
    if budget > 1:  # one vote is the same vote under both
        yield from weighted_gains(evidence, about, budget)


def gains_csv(
    gains: Mapping[str, Sequence[Gain]], experiment: str, costs: Sequence[str] = CLAIM_COSTS
) -> pd.DataFrame:
    """`headline.csv`. `gains`: by data set. `costs`: the cost models that prices are told in."""
    rows = [
        [
            experiment, dataset, gain.sentence, gain.strategy, str(gain.budget), gain.part, gain.cost_model,
            *(f"{value + 0.0:.6f}" for value in (gain.gain.value, gain.gain.low, gain.gain.high)),
            *(number(gain.prices.get(cost)) for cost in costs),
        ]
        for dataset, of_dataset in gains.items()
        for gain in of_dataset
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=[*COLUMNS, *(f"price_{cost}" for cost in costs)])
