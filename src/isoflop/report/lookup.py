"""The tables that a report is made of, and how strategies, budgets and fits are looked up in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from isoflop.claims.setting import Setting
from isoflop.errors import UserError
from isoflop.estimate import Estimate
from isoflop.fits.evidence import Evidence
from isoflop.registries import SELECTORS
from isoflop.report.spec import ReportSpec, cost_column, cost_traits
from isoflop.strategy import NONE, Strategy, needs_verifier


@dataclass(frozen=True)
class Choice:
    """What the allocate stage published, as read; bins are text."""

    by_difficulty: pd.DataFrame
    compute_optimal: pd.DataFrame
    exchange: pd.DataFrame
    claims: pd.DataFrame
    exchange_curves: pd.DataFrame


@dataclass(frozen=True)
class Coverage:
    """What is made of coverage: coverage_forecast.csv, and of counts coverage_crossings.csv; None of samples.

    `pretraining`: coverage_pretraining.csv, where it is known. `unequal`: the policies whose problems have
    different numbers of samples.
    """

    crossings: pd.DataFrame | None
    forecast: pd.DataFrame
    unequal: tuple[str, ...] = ()
    pretraining: pd.DataFrame | None = None


@dataclass(frozen=True)
class Revised:
    """Chains of revisions: their rows of curves.csv, by generators `NAME/LENGTH`, and revisions.csv."""

    curves: pd.DataFrame
    rates: pd.DataFrame


@dataclass(frozen=True)
class Verified:
    """How well verifiers tell right solutions from wrong ones: verifiers.csv and calibration.csv."""

    verifiers: pd.DataFrame
    calibration: pd.DataFrame


@dataclass(frozen=True)
class Tables:
    """The published tables as read: curves.csv, fits.csv, differences.csv, draws.parquet, credits.parquet.

    `evidence`: the credits by data set, which everything that is compared is drawn from; `parameters`: of the
    policies. `choice`: where strategies are chosen by difficulty. `revised`: where there are chains of
    revisions, which `curves` is then without. `coverage`: where there are counts of right samples, or many
    samples. `verified`: where independent samples have scores.
    """

    curves: pd.DataFrame
    fits: pd.DataFrame
    differences: pd.DataFrame
    draws: pd.DataFrame
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    parameters: Mapping[str, int] = field(default_factory=dict)
    choice: Choice | None = None
    revised: Revised | None = None
    coverage: Coverage | None = None
    verified: Verified | None = None


def setting(tables: Tables, spec: ReportSpec) -> Setting:
    """What the claims of a study are about. Raises UserError where nothing leaves something to pick."""
    return Setting(
        policies=spec.policies,
        families=spec.families,
        parameters=tables.parameters,
        searches=spec.searches,
        strategies=strategies(tables.curves, spec),
        headline=headline_strategy(tables.curves, spec),
        margin=spec.margin,
        costs=spec.costs,
    )


def intervals_note(curves: pd.DataFrame, spec: ReportSpec) -> str:
    """What every interval is: its level, its kind and the number of problems."""
    on_all = curves[curves["subset"] == "all"]
    counts = [int(on_all.loc[on_all["dataset"] == name, "problems"].iloc[0]) for name in spec.datasets]
    return (
        f"Intervals are at {spec.level:.0%}, by bootstrap over problems ({' and '.join(map(str, counts))}), "
        "widened near 0 and 1"
    )


def existing(curves: pd.DataFrame, spec: ReportSpec, selector: str) -> Strategy | None:
    """The headline's strategy with `selector`, where the curves have it."""
    generator = sampled_generators(curves, spec)[0]
    for strategy in strategies(curves, spec, oracle=True):
        if strategy.selector == selector and strategy.generator == generator:
            return strategy
    return None


def sampled_generators(curves: pd.DataFrame, spec: ReportSpec) -> list[str]:
    """The generators that leave something to pick, in the specification's order, tree searches last.

    Raises UserError where there is none, since no curve over budgets can be drawn then.
    """
    picked = set(curves.loc[curves["selector"] != NONE, "generator"])
    names = sorted((name for name in spec.generators if name in picked), key=spec.own_budgets.__contains__)
    if not names:
        raise UserError(
            f"tables/curves.csv: none of the generators {', '.join(spec.generators)} has a selector other "
            "than 'none'; add a generator that samples (for example 'sampling') to the config"
        )
    return names


def without_length(generators: pd.Series) -> pd.Series:
    """NAME of the chains `NAME/S` of revisions; other generators as they are."""
    return generators.str.replace(r"/\d+$", "", regex=True)


def greedy_generators(curves: pd.DataFrame, spec: ReportSpec) -> list[str]:
    """The generators with one candidate and nothing to pick, in the specification's order."""
    single = set(curves.loc[curves["selector"] == NONE, "generator"])
    return [name for name in spec.generators if name in single]


def strategies(curves: pd.DataFrame, spec: ReportSpec, *, oracle: bool = False) -> list[Strategy]:
    """The strategies found in the curves: greedy, then every selector of each sampled generator.

    Verifier-based selectors take the headline's step aggregation. `oracle` adds the oracles, such as pass@k.
    """
    listed = [Strategy(name, NONE) for name in greedy_generators(curves, spec)]
    for generator in sampled_generators(curves, spec):
        of_generator = curves[curves["generator"] == generator]
        for selector, traits in SELECTORS.members.items():
            if traits.oracle and not oracle:
                continue
            rows = of_generator[of_generator["selector"] == selector]
            if rows.empty:
                continue
            if traits.needs_verifier:
                names = [name for name in spec.verifiers if name in set(rows["verifier"])]
                listed += [Strategy(generator, selector, name, spec.aggregation(name)) for name in names]
            else:
                listed.append(Strategy(generator, selector))
    return listed


def headline_strategy(curves: pd.DataFrame, spec: ReportSpec, selector: str | None = None) -> Strategy:
    """The headline's strategy, or the same one with another `selector`.

    Raises UserError where the selector needs a verifier and the specification names none.
    """
    chosen = selector or spec.headline.selector
    generator = sampled_generators(curves, spec)[0]
    if not needs_verifier(chosen):
        return Strategy(generator, chosen)
    if not spec.verifiers:
        raise UserError(f"headline.selector: {chosen!r} needs a verifier, and the experiment has none")
    return Strategy(generator, chosen, spec.verifiers[0], spec.aggregation(spec.verifiers[0]))


def curve(
    curves: pd.DataFrame, dataset: str, policy: str, strategy: Strategy, subset: str = "all"
) -> pd.DataFrame:
    """The rows of one curve by rising budget; empty where there are none."""
    return of_strategy(curves, dataset, policy, strategy, subset).sort_values("budget")


def of_strategy(
    table: pd.DataFrame, dataset: str, policy: str | None, strategy: Strategy, subset: str = "all"
) -> pd.DataFrame:
    """The rows of curves, fits or draws that are about one strategy, and one policy unless that is None."""
    return table[
        (table["dataset"] == dataset)
        & ((table["policy"] == policy) | (policy is None))
        & (table["generator"] == strategy.generator)
        & (table["selector"] == strategy.selector)
        & (table["verifier"] == strategy.verifier)
        & (table["step_aggregation"] == strategy.step_aggregation)
        & (table["subset"] == subset)
    ]


def drawn(draws: pd.DataFrame, kind: str, x: str, fit: str | None = None) -> pd.DataFrame:
    """The rows of draws of one kind by rising x; `x` is their `cost_model`, `fit` the fit's name."""
    rows = draws[(draws["kind"] == kind) & (draws["cost_model"] == x)]
    if fit is not None:
        rows = rows[rows["fit"] == fit]
    return rows.sort_values("x")


@dataclass(frozen=True)
class Fitted:
    """One fit: its parameters in the table's order, its status and how well it describes the points."""

    parameters: dict[str, Estimate]
    status: str
    points: int
    r_squared: float
    note: str


def fitted(rows: pd.DataFrame) -> Fitted | None:
    """The rows of `fits.csv` of one fit, taken together; None where there are none."""
    if rows.empty:
        return None
    columns = zip(rows["parameter"], rows["value"], rows["ci_low"], rows["ci_high"], strict=True)
    parameters = {str(name): Estimate(float(v), float(low), float(high)) for name, v, low, high in columns}
    first = rows.iloc[0]
    return Fitted(
        {name: parameter for name, parameter in parameters.items() if name != "nan"},
        str(first["status"]),
        0 if pd.isna(first["points"]) else int(first["points"]),
        float(first["r_squared"]),
        "" if pd.isna(first["note"]) else str(first["note"]),
    )


def of_generator(strategy: Strategy, generator: str) -> Strategy:
    """The same selection from another generator's candidates."""
    return replace(strategy, generator=generator)


def shown_budget(curves: pd.DataFrame, spec: ReportSpec, generator: str) -> int:
    """The budget at which tables show a generator: the largest common one where it has it, else its largest.

    Common to all that are sampled and to the searches that share a budget with those. Its largest is that of
    all policies and data sets. Raises UserError where they share none.
    """
    budgets = _shared_budgets(curves, spec, [generator])
    common = _shared_budgets(curves, spec, _sampling(curves, spec))
    for name in sampled_generators(curves, spec):
        common = common & _shared_budgets(curves, spec, [name]) or common
    return max(common) if max(common) in budgets else max(budgets)


def largest_common_budget(curves: pd.DataFrame, spec: ReportSpec) -> int:
    """The largest number of samples that every sampled generator of every policy and data set has.

    Tree searches, whose budgets are their own, count where nothing is sampled. Raises UserError where the
    generators share none.
    """
    return max(_shared_budgets(curves, spec, _sampling(curves, spec)))


def _sampling(curves: pd.DataFrame, spec: ReportSpec) -> list[str]:
    """The generators of which smaller budgets are subsets; the first search where there is none."""
    generators = sampled_generators(curves, spec)
    return [name for name in generators if name not in spec.own_budgets] or generators[:1]


def _shared_budgets(curves: pd.DataFrame, spec: ReportSpec, generators: Sequence[str]) -> set[int]:
    """The budgets that these generators have for every policy and data set."""
    rows = curves[
        (curves["subset"] == "all")
        & (curves["selector"] != NONE)
        & curves["generator"].isin(generators)
        & curves["policy"].isin(spec.policies)
        & curves["dataset"].isin(spec.datasets)
    ]
    sets = [set(group["budget"]) for _, group in rows.groupby(["dataset", "policy", "generator"])]
    common = set.intersection(*sets) if sets else set()
    if not common:
        raise UserError(
            "tables/curves.csv: the policies share no budget, so they cannot be compared at one; "
            "give all generators of the config at least one common number of samples"
        )
    return {int(budget) for budget in common}


def levels(curves: pd.DataFrame, dataset: str) -> list[str]:
    """The difficulty levels of `dataset` in rising order; empty where its problems have none."""
    names = set(curves.loc[(curves["dataset"] == dataset) & (curves["subset"] != "all"), "subset"])
    return sorted(names, key=lambda level: (len(level), level))


def check_curves(curves: pd.DataFrame, spec: ReportSpec, columns: Sequence[str]) -> None:
    """Refuse curves that lack a column, a data set or a policy of the specification, or a headline's cost
    that nobody knows, by name.
    """
    missing = [name for name in columns if name not in curves.columns]
    if missing:
        raise UserError(f"tables/curves.csv: column {', '.join(missing)} is missing; delete it and run again")
    for column, wanted in (("dataset", spec.datasets), ("policy", spec.policies)):
        absent = [name for name in wanted if name not in set(curves[column])]
        if absent:
            raise UserError(
                f"tables/curves.csv: {column} {', '.join(absent)} of the experiment has no rows; "
                "delete the file and run again"
            )
    unknown = curves[curves[cost_column(spec)].isna() & curves["policy"].isin(spec.policies)]
    if len(unknown):
        first, cost = unknown.iloc[0], spec.headline.cost_model
        raise UserError(
            f"tables/curves.csv: {cost} of {first['policy']}/{first['generator']} is not known: it needs "
            f"{cost_traits(spec).needs}; choose another headline.cost_model"
        )
