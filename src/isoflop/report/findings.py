"""The study in plain sentences, each made from the published tables and nothing else.

Greedy decoding comes first: what more compute buys is told as a paired difference to one greedy answer of the
same model, and to one of the next size, with its price. Intervals of gains over greedy answers, samples and
majority, and those about falls and saturation, hold jointly in one sentence (max-T): the one of them that
leaves out 0 by chance does so no more often than its level says. Those about a choice or revisions are each
its own. A choice is made on other problems than it is measured on. A sentence whose numbers the tables do
not have is left out rather than guessed. How often sentences are wrong where the truth is known, and of
which that is not known: docs/design/verdicts.md.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from isoflop.claims.best_choice import BestChoice, best_choices
from isoflop.claims.gains import (
    Gain,
    falls_of_best,
    over_greedy_gains,
    over_next_greedy_gains,
    saturations,
    search_gains,
    voting,
    weighted_gains,
)
from isoflop.claims.setting import Setting
from isoflop.estimate import Estimate, scientific
from isoflop.fits.evidence import Evidence
from isoflop.fits.revision_rates import BROKEN, FIXED, PASS
from isoflop.registries import COST_MODELS, FITTED_COSTS
from isoflop.report.coverage import coverage_findings, coverage_sentences
from isoflop.report.lookup import (
    Tables,
    fitted,
    headline_strategy,
    largest_common_budget,
    of_strategy,
    setting,
)
from isoflop.report.spec import ReportSpec, assumption, cost_column, cost_sentence, cost_traits
from isoflop.strategy import Strategy
from isoflop.verdicts.factors import times

_COUNTED = {"total": "prompts and verifier included", "wu2024": "generated tokens alone"}


@dataclass(frozen=True)
class Headlines:
    """What was found on one data set: over greedy decoding, the choice at three budgets, and the rest."""

    dataset: str
    best: tuple[str, ...]
    findings: tuple[str, ...]


def headlines(tables: Tables, spec: ReportSpec) -> list[Headlines]:
    """The sentences for every data set, in the specification's order."""
    about = setting(tables, spec)
    by_dataset = []
    for dataset in spec.datasets:
        evidence = tables.evidence[dataset]
        if spec.covers:
            best = coverage_sentences(tables, spec, dataset)
            more = [_optimal_size(tables, spec, dataset), *coverage_findings(tables, spec, dataset)]
            by_dataset.append(Headlines(dataset, tuple(best), tuple(filter(None, more))))
            continue
        first = [
            over_greedy(evidence, about, spec),
            over_next_greedy(evidence, about, spec),
            *_choices(evidence, spec),
        ]
        rest = [
            *(search_over_sampling(evidence, about, name) for name in spec.search_names),
            _gain_of_verifier(tables, spec, evidence, about),
            over_optimisation(evidence, about),
            saturation(evidence, about),
            _optimal_size(tables, spec, dataset),
            *_revisions(tables, dataset),
        ]
        by_dataset.append(Headlines(dataset, *(tuple(filter(None, group)) for group in (first, rest))))
    return by_dataset


def headline_markdown(headlines: list[Headlines], spec: ReportSpec, intervals: str) -> str:
    """The sentences as Markdown, for `tables/headline.md` and the terminal."""
    lines = [
        f"# {spec.title}",
        "",
        f"{cost_sentence(spec)}. {intervals}; those of gains hold jointly in one sentence. "
        f"{assumption(spec)}".rstrip(),
        "",
    ]
    for headline in headlines:
        lines += [
            f"## {headline.dataset}",
            "",
            *(f"- {text}" for text in (*headline.best, *headline.findings)),
            "",
        ]
    return "\n".join(lines)


def over_greedy(evidence: Evidence, about: Setting, spec: ReportSpec) -> str:
    """What the headline's strategy at its largest budget gains over one greedy answer of the same model."""
    gains = over_greedy_gains(evidence, about)
    if not gains:
        return "No greedy answers were measured, so what more compute gains over one is not known."
    return f"{_at_most(gains, about, spec, 'one greedy answer of the same model')}."


def over_next_greedy(evidence: Evidence, about: Setting, spec: ReportSpec) -> str:
    """The same against one greedy answer of the next size."""
    gains = over_next_greedy_gains(evidence, about)
    return f"{_at_most(gains, about, spec, 'one greedy answer of the next size')}." if gains else ""


def _at_most(gains: Sequence[Gain], about: Setting, spec: ReportSpec, baseline: str) -> str:
    """The gains of the largest budgets, each with its price under the headline's cost model."""
    cost = spec.headline.cost_model
    unit = "compute" if cost in FITTED_COSTS else COST_MODELS[cost].unit
    gains = [gain for gain in gains if math.isfinite(gain.prices[cost])]
    if not gains:
        return f"What more samples gain over {baseline} has no known price in {unit}"
    budgets = {gain.budget for gain in gains}
    samples = f"{budgets.pop()} samples" if len(budgets) == 1 else "the largest number of samples"
    listed = "; ".join(
        f"{gain.part} {gain.gain.in_points} at {times(gain.prices[cost])} times the {unit}" for gain in gains
    )
    name = about.headline.name
    return f"{name[0].upper()}{name[1:]} over {samples} minus {baseline}, in points: {listed}"


def search_over_sampling(evidence: Evidence, about: Setting, search: str) -> str:
    """A search at its largest budget against samples, at equal compute under every cost model."""
    texts = []
    for cost in reversed(about.costs):
        name = _COUNTED.get(cost, f"{COST_MODELS[cost].unit} counted")
        gains = search_gains(evidence, about, search, cost)
        if gains:
            listed = "; ".join(f"{gain.part} {gain.gain.in_points}" for gain in gains)
            texts.append(f"{name}, {listed}")
    if not texts:
        return ""
    return (
        f"{search} at its largest budget minus samples at equal compute, both with {about.headline.name}, in "
        f"points: {'. With '.join(texts)}."
    )


def _choices(evidence: Evidence, spec: ReportSpec) -> Iterator[str]:
    """The choice at each of three budgets of the headline's cost."""
    cost, published = spec.headline.cost_model, spec.published_searches
    for choice in best_choices(evidence, spec.policies, cost, spec.seed, without=published):
        yield _choice(choice, cost_traits(spec).unit)


def _choice(choice: BestChoice, unit: str) -> str:
    """The choice at one budget, measured on other problems than it is made on."""
    text = (
        f"{choice.name.capitalize()} budget, at most {scientific(choice.budget)} {unit} per problem: chosen "
        f"on half of the problems and measured on the other half, the best of {choice.options} choices is "
        f"right on {choice.accuracy.in_percent}; most often it is {choice.most_often} ({choice.share:.0%})."
    )
    if choice.over_greedy is not None:
        text += (
            f" Minus the best greedy answer that this buys ({choice.greedy}), chosen likewise: "
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


def _gain_of_verifier(tables: Tables, spec: ReportSpec, evidence: Evidence, about: Setting) -> str:
    budget = largest_common_budget(tables.curves, spec)
    gains = weighted_gains(evidence, about, budget) if budget > 1 else []
    if not gains:
        return ""
    known = "total" in about.costs and all(np.isfinite(gain.prices["total"]) for gain in gains)
    cost = "total" if known else spec.headline.cost_model
    unit, counted = (
        ("compute", "prompts and verifier counted")
        if cost == "total"
        else (COST_MODELS[cost].unit, COST_MODELS[cost].label)
    )
    listed = "; ".join(
        f"{gain.part} {gain.gain.in_points} at {times(gain.prices[cost])} times the {unit}" for gain in gains
    )
    return f"Weighted minus majority voting at {budget} samples, in points, {counted}: {listed}."


def over_optimisation(evidence: Evidence, about: Setting) -> str:
    """Where best-of-n falls with more samples, and high scores are less often right; only where shown."""
    told = [
        f"{policy} {fall.loss.in_points} from {fall.peak} to {fall.most} samples"
        for policy, fall in falls_of_best(evidence, about).items()
    ]
    if not told:
        return ""
    return f"The verifier is over-optimised: best-of-n falls with n, in points: {'; '.join(told)}."


def saturation(evidence: Evidence, about: Setting) -> str:
    """From where on voting is shown to stay within a point of what it has with its most samples."""
    by_policy, strategy = saturations(evidence, about), voting(about)
    if not by_policy or strategy is None:
        return ""
    if all(found.start is None for found in by_policy.values()):
        return (
            f"For no model is {strategy.name} over fewer samples shown to stay within a point of what it has "
            "with the most."
        )
    parts = [
        f"{policy} {'at no smaller number' if found.start is None else f'from {found.start} samples on'} "
        f"(of {found.most})"
        for policy, found in by_policy.items()
    ]
    return (
        f"{strategy.name.capitalize()} is shown to stay within a point of what it has with the most samples: "
        f"{'; '.join(parts)}."
    )


def _optimal_size(tables: Tables, spec: ReportSpec, dataset: str) -> str:
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
        by_place = rows[rows["measure"] == PASS].assign(place=lambda table: table["place"].astype(int))
        by_place = by_place.sort_values("place")
        if len(by_place) < 2 or not {BROKEN, FIXED} <= set(turned):
            continue
        turned_wrong, turned_right = (_share(turned[name]) for name in (BROKEN, FIXED))
        first, last = by_place.iloc[0], by_place.iloc[-1]
        yield (
            f"A revision by {policy} ({generator}) makes {turned_wrong} of right answers wrong and "
            f"{turned_right} of wrong ones right; {_share(first)} of first answers are right, "
            f"{_share(last)} of those at place {last['place']}."
        )


def _share(row: pd.Series) -> str:
    return Estimate(float(row["value"]), float(row["ci_low"]), float(row["ci_high"])).in_percent
