"""The study in plain sentences, each made from the published tables and nothing else.

Greedy decoding comes first: what more compute buys is told as a paired difference to one greedy answer of the
same model, and to one of the next size, with its price. Intervals in one sentence hold jointly (max-T), so
that the one of them that leaves out 0 by chance does so no more often than its level says. A choice is made
on other problems than it is measured on. A sentence whose numbers the tables do not have is left out rather
than guessed. How often each sentence is wrong where the truth is known: docs/design/verdicts.md.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from isoflop.best_choice import BestChoice, best_choices
from isoflop.claims import Setting
from isoflop.evidence import Evidence, Series
from isoflop.factors import times
from isoflop.fit_tables import FEWEST_SAMPLES
from isoflop.publishing import (
    Estimate,
    PublishSpec,
    Tables,
    assumption,
    cost_column,
    cost_label,
    existing,
    fitted,
    headline_strategy,
    largest_common_budget,
    of_strategy,
    scientific,
    setting,
)
from isoflop.revision_rates import MENDED, PASS, SPOILT
from isoflop.strategy import Strategy
from isoflop.verdicts import critical_value, mean_element

Floats = NDArray[np.float64]

# An accuracy this close to that at the largest budget counts as saturated.
NEAR = 0.01
_VOTES = ("majority", "weighted")


@dataclass(frozen=True)
class Headlines:
    """What was found on one data set: over greedy decoding, the choice at three budgets, and the rest."""

    dataset: str
    best: tuple[str, ...]
    findings: tuple[str, ...]


def headlines(tables: Tables, spec: PublishSpec) -> list[Headlines]:
    """The sentences for every data set, in the specification's order."""
    about = setting(tables, spec)
    found = []
    for dataset in spec.datasets:
        evidence = tables.evidence[dataset]
        first = [
            over_greedy(evidence, about, spec),
            over_next_greedy(evidence, about, spec),
            *map(_choice, best_choices(evidence, spec.policies, spec.headline.cost_model, spec.seed)),
        ]
        rest = [
            *(search_over_sampling(evidence, about, name) for name in spec.search_names),
            _gain_of_verifier(tables, spec, evidence),
            over_optimisation(evidence, about),
            saturation(evidence, about),
            _optimal_size(tables, spec, dataset),
            *_revisions(tables, dataset),
        ]
        found.append(Headlines(dataset, *(tuple(filter(None, group)) for group in (first, rest))))
    return found


def headline_markdown(found: list[Headlines], spec: PublishSpec, intervals: str) -> str:
    """The sentences as Markdown, for `tables/headline.md` and the terminal."""
    lines = [
        f"# {spec.title}",
        "",
        f"Compute counts {cost_label(spec)}. {intervals}; those in one sentence hold jointly. "
        f"{assumption(spec)}".rstrip(),
        "",
    ]
    for one in found:
        lines += [f"## {one.dataset}", "", *(f"- {text}" for text in (*one.best, *one.findings)), ""]
    return "\n".join(lines)


def jointly(values: Mapping[str, Floats], evidence: Evidence) -> dict[str, Estimate]:
    """Means over problems with intervals that hold jointly. `values`: vectors of problems by name."""
    elements = {name: mean_element(vector, evidence) for name, vector in values.items()}
    if not elements:
        return {}
    critical = critical_value(list(elements.values()), evidence.level)
    return {name: Estimate(one.value, *one.within(critical)) for name, one in elements.items()}


def over_greedy(evidence: Evidence, about: Setting, spec: PublishSpec) -> str:
    """What the headline's strategy at its largest budget gains over one greedy answer of the same model."""
    values, prices = {}, {}
    for policy in about.policies:
        greedy, most = _greedy(evidence, about, policy), evidence.get(policy, about.headline)
        if greedy is not None and most is not None:
            values[policy] = most.credits[-1] - greedy.credits[0]
            prices[policy] = _price(most, greedy, spec)
    if not values:
        return "No greedy answers were measured, so nothing is told of what more compute buys over one."
    what = f"{about.headline.name} over {_budgets(evidence, about)}"
    gains = _listed(values, prices, evidence)
    return f"Over one greedy answer of the same model, {what} gains, in points: {gains}."


def over_next_greedy(evidence: Evidence, about: Setting, spec: PublishSpec) -> str:
    """The same against one greedy answer of the next size."""
    values, prices = {}, {}
    for small, large in about.pairs():
        greedy, most = _greedy(evidence, about, large), evidence.get(small, about.headline)
        if greedy is not None and most is not None:
            name = f"{small} over {large}"
            values[name] = most.credits[-1] - greedy.credits[0]
            prices[name] = _price(most, greedy, spec)
    if not values:
        return ""
    what = f"{about.headline.name} over {_budgets(evidence, about)}"
    return f"Over one greedy answer of the next size, {what} gains: {_listed(values, prices, evidence)}."


def _listed(values: Mapping[str, Floats], prices: Mapping[str, str], evidence: Evidence) -> str:
    return "; ".join(
        f"{name} {gain.in_points} at {prices[name]}" for name, gain in jointly(values, evidence).items()
    )


def _price(series: Series, baseline: Series, spec: PublishSpec) -> str:
    """How many times the baseline's compute the largest budget takes, under the headline's cost model."""
    cost = spec.headline.cost_model
    return f"{times(float(series.costs[cost][-1] / baseline.costs[cost][0]))} times the compute"


def _budgets(evidence: Evidence, about: Setting) -> str:
    series = (evidence.get(policy, about.headline) for policy in about.policies)
    most = {int(one.budgets[-1]) for one in series if one is not None}
    return f"{most.pop()} samples" if len(most) == 1 else "the largest number of samples"


def _greedy(evidence: Evidence, about: Setting, policy: str) -> Series | None:
    found = (evidence.get(policy, one) for one in about.strategies if one.selector == "none")
    return next((one for one in found if one is not None), None)


def search_over_sampling(evidence: Evidence, about: Setting, search: str) -> str:
    """A search at its largest budget against samples, at equal compute under both cost models."""
    strategy = Strategy(
        search, about.headline.selector, about.headline.verifier, about.headline.step_aggregation
    )
    texts = []
    for cost, name in (("total", "prompts and verifier included"), ("wu2024", "generated tokens alone")):
        values = {}
        for policy in about.policies:
            found, sampled = evidence.get(policy, strategy), evidence.get(policy, about.headline)
            if found is None or sampled is None or search == about.headline.generator:
                continue
            bought = sampled.at_cost(float(found.costs[cost][-1]), cost)
            if bought is not None:
                values[policy] = found.credits[-1] - bought
        if values:
            gains = jointly(values, evidence)
            listed = "; ".join(f"{policy} {gain.in_points}" for policy, gain in gains.items())
            texts.append(f"{name}, {listed}")
    if not texts:
        return ""
    return (
        f"{search} at its largest budget minus samples at equal compute, both with {strategy.name}, in "
        f"points: {'. With '.join(texts)}."
    )


def _choice(choice: BestChoice) -> str:
    """The choice at one budget, measured on other problems than it is made on."""
    text = (
        f"{choice.name.capitalize()} budget, at most {scientific(choice.budget)} FLOPs per problem: chosen "
        f"on half of the problems and measured on the other half, the best of {choice.options} choices is "
        f"right on {choice.accuracy.in_percent}; most often it is {choice.most_often} ({choice.share:.0%})."
    )
    if choice.over_greedy is not None:
        text += (
            f" Over the best greedy answer that this buys ({choice.greedy}), chosen likewise, it is ahead by "
            f"{choice.over_greedy.in_points} points."
        )
    return text


def strategy_key(policy: str, strategy: Strategy) -> str:
    """How `differences.csv` names a strategy of a policy, in its columns `left` and `right`."""
    parts = (policy, strategy.generator, strategy.verifier, strategy.selector, strategy.step_aggregation)
    return "/".join(parts)


def difference(
    rows: pd.DataFrame, comparison: str, policy: str, strategy: Strategy, budget: int
) -> Estimate | None:
    """What `differences.csv` says of `strategy` at `budget`, if anything; `rows` of one data set."""
    rows = rows[
        (rows["comparison"] == comparison)
        & (rows["left"] == strategy_key(policy, strategy))
        & (rows["budget"] == budget)
    ]
    if rows.empty:
        return None
    row = rows.iloc[0]
    return Estimate(float(row["difference"]), float(row["ci_low"]), float(row["ci_high"]))


def _gain_of_verifier(tables: Tables, spec: PublishSpec, evidence: Evidence) -> str:
    strategies = [existing(tables.curves, spec, name) for name in ("weighted", "majority")]
    budget = largest_common_budget(tables.curves, spec)
    if budget == 1:  # one vote is the same vote under both
        return ""
    values = {}
    for policy in spec.policies:
        pair = [evidence.get(policy, one) for one in strategies]
        credits = [None if one is None else one.at_budget(budget) for one in pair]
        if credits[0] is not None and credits[1] is not None:
            values[policy] = credits[0] - credits[1]
    if not values:
        return ""
    gains = "; ".join(f"{policy} {gain.in_points}" for policy, gain in jointly(values, evidence).items())
    return f"Weighted over majority voting at {budget} samples gains, in points: {gains}."


def over_optimisation(evidence: Evidence, about: Setting) -> str:
    """Where best-of-n is worse with its most samples than with fewer: high scores are then less often right.

    The peak is picked, so the picking is under control: intervals of all falls from any budget of any model
    to its last hold jointly. Said only where one of them is above 0.
    """
    strategy = about.selecting("best_of_n")
    falls: dict[tuple[str, int], Floats] = {}
    for policy in about.policies:
        series = evidence.get(policy, strategy)
        if series is not None:
            for place, budget in enumerate(series.budgets[:-1].tolist()):
                falls[policy, budget] = series.credits[-1] - series.credits[place]
    found = jointly({f"{policy}\n{budget}": one for (policy, budget), one in falls.items()}, evidence)
    told = []
    for policy in about.policies:
        own = {budget: found[f"{name}\n{budget}"] for name, budget in falls if name == policy}
        down = {budget: one for budget, one in own.items() if one.high < 0}
        if down:
            peak = min(down, key=lambda budget: down[budget].value)
            series = evidence.get(policy, strategy)
            assert series is not None  # it has falls
            told.append(f"{policy} {down[peak].in_points} from {peak} to {series.budgets[-1]} samples")
    if not told:
        return ""
    return f"The verifier is over-optimised: best-of-n falls with n, in points: {'; '.join(told)}."


def saturation(evidence: Evidence, about: Setting) -> str:
    """From where on voting is shown to stay within a point of what it has with its most samples.

    Shown where all differences from there on have intervals, which hold jointly, within a point either way.
    """
    strategy = about.headline if about.headline.selector in _VOTES else about.selecting("majority")
    gaps: dict[tuple[str, int], Floats] = {}
    for policy in about.policies:
        series = evidence.get(policy, strategy)
        if series is not None and series.budgets[-1] >= FEWEST_SAMPLES:
            for place, budget in enumerate(series.budgets[:-1].tolist()):
                gaps[policy, budget] = series.credits[place] - series.credits[-1]
    found = jointly({f"{policy}\n{budget}": one for (policy, budget), one in gaps.items()}, evidence)
    parts, shown = [], False
    for policy in dict.fromkeys(policy for policy, _ in gaps):
        series = evidence.get(policy, strategy)
        assert series is not None  # it has gaps
        near = None
        for budget in reversed([budget for name, budget in gaps if name == policy]):
            gap = found[f"{policy}\n{budget}"]
            if max(abs(gap.low), abs(gap.high)) > NEAR:
                break
            near = budget
        when = "at no smaller number" if near is None else f"from {near} samples on"
        parts.append(f"{policy} {when} (of {series.budgets[-1]})")
        shown = shown or near is not None
    if not parts or strategy is None:
        return ""
    if not shown:
        return (
            f"For no model is {strategy.name} over fewer samples shown to stay within a point of what it has "
            "with the most."
        )
    return (
        f"{strategy.name.capitalize()} is shown to stay within a point of what it has with the most samples: "
        f"{'; '.join(parts)}."
    )


def _optimal_size(tables: Tables, spec: PublishSpec, dataset: str) -> str:
    """The law of the best size, of every family: under the strategy alone, and with greedy answers
    allowed.
    """
    strategy = headline_strategy(tables.curves, spec)
    texts = []
    for family in dict.fromkeys(spec.families.get(policy, "all") for policy in spec.policies):
        rows = of_strategy(tables.fits, dataset, family, strategy)
        rows = rows[rows["cost_model"] == cost_column(spec)]
        for name, how in (("optimal_size", strategy.name), ("optimal_size_or_greedy", "with greedy answers")):
            fit = fitted(rows[rows["fit"] == name])
            if fit is None:
                continue
            alpha = fit.parameters.get("alpha")
            if fit.status == "ok" and alpha is not None:
                told = f"log10 C = alpha log10 N + beta with alpha = {alpha.text}"
            else:
                told = f"no law: {fit.status} ({fit.note})"
            texts.append(f"{how}: {told}" if family == "all" else f"{family}, {how}: {told}")
    return f"The compute-optimal size, {'; '.join(texts)}." if texts else ""


def _revisions(tables: Tables, dataset: str) -> Iterator[str]:
    """What revisions do to answers, for every policy and generator of chains."""
    if tables.revised is None:
        return
    rates = tables.revised.rates
    rates = rates[rates["dataset"] == dataset]
    for (generator, policy), rows in rates.groupby(["generator", "policy"], sort=False):
        turned = {row["measure"]: row for _, row in rows[rows["place"] == "all"].iterrows()}
        places = rows[rows["measure"] == PASS].assign(place=lambda own: own["place"].astype(int))
        places = places.sort_values("place")
        if len(places) < 2 or not {SPOILT, MENDED} <= set(turned):
            continue
        spoilt, mended = (_share(turned[name]) for name in (SPOILT, MENDED))
        first, last = places.iloc[0], places.iloc[-1]
        yield (
            f"A revision by {policy} ({generator}) makes {spoilt} of right answers wrong and {mended} of "
            f"wrong ones right; {_share(first)} of first answers are right, {_share(last)} of those at place "
            f"{last['place']}."
        )


def _share(row: pd.Series) -> str:
    return Estimate(float(row["value"]), float(row["ci_low"]), float(row["ci_high"])).in_percent
