"""The study in plain sentences, each made from the published tables and nothing else.

A sentence whose numbers the tables do not have is left out rather than guessed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import cast

import numpy as np
import pandas as pd

from isoflop.publishing import (
    Estimate,
    PublishSpec,
    Tables,
    assumption,
    cost_column,
    cost_label,
    curve,
    existing,
    fitted,
    headline_strategy,
    largest_common_budget,
    of_strategy,
    scientific,
    strategies,
)
from isoflop.revision_rates import MENDED, PASS, SPOILT
from isoflop.strategy import Strategy

# Where in the measured range of compute (on a logarithmic scale) the three budgets of the headline lie.
BUDGET_PLACES = (("low", 1 / 3), ("middle", 2 / 3), ("high", 1.0))
# An accuracy this close to the whole pool's counts as saturated.
NEAR_LIMIT = 0.01


@dataclass(frozen=True)
class Headlines:
    """What was found on one data set: the best choice at three compute budgets, and the other findings."""

    dataset: str
    best: tuple[str, ...]
    findings: tuple[str, ...]


def headlines(tables: Tables, spec: PublishSpec) -> list[Headlines]:
    """The sentences for every data set, in the specification's order."""
    return [
        Headlines(
            dataset,
            tuple(best_choices(tables, spec, dataset)),
            tuple(
                sentence
                for sentence in (
                    *(_gain_of_samples(tables, spec, dataset, name) for name in _voters(spec)),
                    _gain_of_verifier(tables, spec, dataset),
                    over_optimisation(tables, spec, dataset),
                    _saturation(tables, spec, dataset),
                    _optimal_size(tables, spec, dataset),
                    *_revisions(tables, dataset),
                )
                if sentence
            ),
        )
        for dataset in spec.datasets
    ]


def headline_markdown(found: list[Headlines], spec: PublishSpec, intervals: str) -> str:
    """The sentences as Markdown, for `tables/headline.md` and the terminal."""
    lines = [
        f"# {spec.title}",
        "",
        f"Compute counts {cost_label(spec)}. {intervals}. {assumption(spec)}".rstrip(),
        "",
    ]
    for one in found:
        lines += [f"## {one.dataset}", "", *(f"- {text}" for text in (*one.best, *one.findings)), ""]
    return "\n".join(lines)


def best_choices(tables: Tables, spec: PublishSpec, dataset: str) -> list[str]:
    """The most accurate measured choice that fits each of three compute budgets, and the best other size."""
    points = measured_points(tables.curves, spec, dataset)
    cost = cost_column(spec)
    low, high = float(points[cost].min()), float(points[cost].max())
    sentences = []
    for name, place in BUDGET_PLACES:
        budget = high if place == 1.0 else low * (high / low) ** place
        within = points[points[cost] <= budget].sort_values(["accuracy", cost], ascending=[False, True])
        best = within.iloc[0]
        text = (
            f"{name.capitalize()} budget, at most {scientific(budget)} FLOPs per problem: "
            f"{best['policy']} {_described(best, spec)} is the most accurate choice measured, "
            f"{_accuracy(best)}."
        )
        others = within[within["policy"] != best["policy"]]
        if not others.empty:
            other = others.iloc[0]
            ahead = _paired_difference(tables, spec, best, other).in_points
            choice = f"{other['policy']} {_described(other, spec)}, {_accuracy(other)}"
            text += f" The best of another size is {choice}; paired, the first is ahead by {ahead} points."
        elif len(spec.policies) > 1:
            text += " No other size fits this budget."
        sentences.append(text)
    return sentences


def measured_points(curves: pd.DataFrame, spec: PublishSpec, dataset: str) -> pd.DataFrame:
    """Every measured point of a strategy that can be used in practice: all but the oracle pass@k."""
    lines = [
        curve(curves, dataset, policy, strategy)
        for policy in spec.policies
        for strategy in strategies(curves, spec)
    ]
    return pd.concat(lines)


def _paired_difference(tables: Tables, spec: PublishSpec, first: pd.Series, second: pd.Series) -> Estimate:
    """Accuracy of one point minus that of another, with an interval from their common draws."""
    one, other = (tables.paired[cast(int, point.name)] for point in (first, second))
    spread = float(np.std(one - other))
    half = NormalDist().inv_cdf(0.5 + spec.level / 2) * spread
    value = float(first["accuracy"] - second["accuracy"])
    return Estimate(value, value - half, value + half)


def _described(point: pd.Series, spec: PublishSpec) -> str:
    selector = str(point["selector"])
    if selector == "none":
        return "decoding greedily"
    if point["budget"] == 1:
        return "with 1 sample"
    strategy = Strategy(str(point["generator"]), selector)
    name = strategy.name
    if strategy.generator in spec.searches:
        return f"with {strategy.generator} at budget {point['budget']} and {name}"
    return f"with {name} over {point['budget']} samples"


def _accuracy(point: pd.Series) -> str:
    return Estimate(float(point["accuracy"]), float(point["ci_low"]), float(point["ci_high"])).in_percent


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


def _gain_of_samples(tables: Tables, spec: PublishSpec, dataset: str, selector: str) -> str:
    strategy = existing(tables.curves, spec, selector)
    if strategy is None:
        return ""
    paired = tables.differences[tables.differences["dataset"] == dataset]
    gains, budgets = [], set()
    for policy in spec.policies:
        line = curve(tables.curves, dataset, policy, strategy)
        if line.empty:
            continue
        budget = int(line["budget"].max())
        gain = difference(paired, "largest budget - one sample", policy, strategy, budget)
        if gain is not None:
            gains.append(f"{policy} {gain.in_points}")
            budgets.add(budget)
    if not gains:
        return ""
    samples = f"{budgets.pop()} samples" if len(budgets) == 1 else "its largest number of samples"
    return f"{strategy.name.capitalize()} over {samples} instead of 1 gains, in points: {'; '.join(gains)}."


def _gain_of_verifier(tables: Tables, spec: PublishSpec, dataset: str) -> str:
    strategy = existing(tables.curves, spec, "weighted")
    if strategy is None:
        return ""
    budget = largest_common_budget(tables.curves, spec)
    if budget == 1:  # one vote is the same vote under both
        return ""
    paired = tables.differences[tables.differences["dataset"] == dataset]
    gains = []
    for policy in spec.policies:
        gain = difference(paired, "weighted - majority", policy, strategy, budget)
        if gain is not None:
            gains.append(f"{policy} {gain.in_points}")
    if not gains:
        return ""
    return f"Weighted over majority voting at {budget} samples gains, in points: {'; '.join(gains)}."


def over_optimisation(tables: Tables, spec: PublishSpec, dataset: str) -> str:
    """Where best-of-n is worse with its most samples than with fewer: high scores are then less often right.

    Said only where the interval of the drop is above 0.
    """
    strategy = existing(tables.curves, spec, "best_of_n")
    if strategy is None:
        return ""
    drops = []
    for policy in spec.policies:
        line = curve(tables.curves, dataset, policy, strategy).sort_values("budget")
        if line.empty:
            continue
        peak, last = line.iloc[int(line["accuracy"].to_numpy().argmax())], line.iloc[-1]
        drop = _paired_difference(tables, spec, last, peak)
        if drop.high < 0:
            drops.append(f"{policy} {drop.in_points} from {peak['budget']} to {last['budget']} samples")
    if not drops:
        return ""
    return f"The verifier is over-optimised: best-of-n falls with n, in points: {'; '.join(drops)}."


def _saturation(tables: Tables, spec: PublishSpec, dataset: str) -> str:
    """From where on voting stays near the vote of the whole pool, and the limit that the pool leaves."""
    selector = spec.headline.selector if spec.headline.selector != "best_of_n" else "majority"
    strategy = existing(tables.curves, spec, selector)
    if strategy is None:
        return ""
    parts = []
    for policy in spec.policies:
        line = curve(tables.curves, dataset, policy, strategy)
        ends = of_strategy(tables.draws, dataset, policy, strategy)
        ends = ends[ends["kind"] == "limit"]
        if line.empty or ends.empty:
            continue
        limit = Estimate(*(float(ends[name].iloc[0]) for name in ("y", "low", "high")))
        away = line["budget"][(line["accuracy"] - limit.value).abs() > NEAR_LIMIT]
        near = line["budget"][line["budget"] > (away.max() if len(away) else 0)]
        when = f"from {near.iloc[0]} samples on" if len(near) else "at no budget measured"
        parts.append(f"{policy} {when} (limit {limit.in_percent})")
    if not parts:
        return ""
    return (
        f"{strategy.name.capitalize()} stays within 1 point of the whole pool's vote: {'; '.join(parts)}. "
        "The limit's interval holds the problems on which the pool leaves the vote open."
    )


def _optimal_size(tables: Tables, spec: PublishSpec, dataset: str) -> str:
    strategy = headline_strategy(tables.curves, spec)
    rows = of_strategy(tables.fits, dataset, "all", strategy)
    fit = fitted(rows[(rows["fit"] == "optimal_size") & (rows["cost_model"] == cost_column(spec))])
    if fit is None:
        return ""
    known = {name: fit.parameters[name] for name in ("alpha", "beta") if name in fit.parameters}
    if len(known) < 2 or not all(parameter.known for parameter in known.values()):
        return f"The compute-optimal size is not determined by these policies: {fit.status}."
    values = ", ".join(f"{name} = {parameter.text}" for name, parameter in known.items())
    verdict = "" if fit.status == "ok" else f" It is no clear power law: {fit.status}."
    return (
        f"Compute-optimal size: log10 C = alpha log10 N + beta with {values}; "
        f"Wu et al. 2024 have alpha = 1.19 and beta = 2.03.{verdict}"
    )


def _voters(spec: PublishSpec) -> list[str]:
    """Majority voting, then the headline's selector where that is another."""
    return list(dict.fromkeys(("majority", spec.headline.selector)))


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
            f"A revision by {policy} ({generator}) spoils {spoilt} of right answers and mends {mended} of "
            f"wrong ones; {_share(first)} of first answers are right, {_share(last)} of those at place "
            f"{last['place']}."
        )


def _share(row: pd.Series) -> str:
    return Estimate(float(row["value"]), float(row["ci_low"]), float(row["ci_high"])).in_percent
