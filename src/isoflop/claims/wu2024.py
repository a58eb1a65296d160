"""Wu et al. 2024's claims as tests: parts with joint draws, quantifiers, verdicts (isoflop.verdicts.judge).

Accuracies at the same compute are read off the curves by linear interpolation in the logarithm of the cost,
within what was measured; beyond its largest budget a strategy keeps what that has, since compute can be left
unspent. Where compute matters, a claim is tested under every cost model that the study names, usually
`wu2024` (the paper's, generated tokens only) and `total`, which has prompts and the verifier in it. How often
each verdict is false in worlds whose truth is known is in docs/design/verdicts.md.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from isoflop.arrays import Floats
from isoflop.claims.setting import Setting
from isoflop.fits.bootstrap import Interval, percentile_interval
from isoflop.fits.evidence import Evidence, Series
from isoflop.fits.optimal_size import optimal_size
from isoflop.fits.tables import FEWEST_SAMPLES
from isoflop.registries import COST_MODELS
from isoflop.strategy import Strategy
from isoflop.verdicts.factors import factor_saved, line, near_best
from isoflop.verdicts.judge import ANY, ClaimJudged, Found, Partly, judge_found
from isoflop.verdicts.statements import (
    FEWEST_PROBLEMS,
    Element,
    Part,
    Statement,
    mean_element,
    mean_of_parts,
    mean_part,
    on_average,
    subset_element,
)

# Levels 1 and 2 are easy, those above hard (Wu et al. 2024, Figure 8).
EASIEST_HARD_LEVEL = 3
# What an accuracy may still gain from the second half of the budget where it counts as saturated.
SATURATED = 0.01

CLAIMS = {
    1: "With one strategy, small models are better at low compute, and larger ones later: curves cross.",
    2: "The compute-optimal size grows as a power of compute.",
    3: "REBASE is Pareto-optimal: at every compute no other strategy has a lower error.",
    4: "REBASE needs less compute than weighted voting over samples for the same accuracy.",
    5: "Weighted voting is at least as good as majority voting; under REBASE the gap is smaller.",
    6: "Search gains more on hard problems than on easy ones.",
    7: "MCTS is below sampling at equal compute.",
    8: "Accuracy saturates: the second half of the samples gains less than a point.",
    9: "The smaller of two sizes needs less compute for the same error.",
}
_WITHOUT_COST = (5, 8)
# What coverage, which goes on rising, says nothing of.
_OF_PICKED = (5, 8, 9)
# A cost that differs by rounding alone is the same.
_ROUNDING = 1e-9


def wu_claims(evidence: Evidence, setting: Setting, costs: Sequence[str] | None = None) -> list[ClaimJudged]:
    """Every claim on one data set, under every one of `costs` (the setting's) where it depends on them."""
    tests: Mapping[int, Callable[[Evidence, Setting, str], Found]] = {
        1: _sizes_cross,
        2: _power_law,
        3: _pareto,
        4: _less_compute,
        5: _gap,
        6: _by_level,
        7: _mcts,
        8: _saturated,
        9: _smaller,
    }
    judged = []
    for number, sentence in CLAIMS.items():
        for cost in (ANY,) if number in _WITHOUT_COST else costs or setting.costs:
            finding: Found
            known = evidence if cost == ANY else evidence.under(cost)
            if setting.covers and number in _OF_PICKED:
                finding = "is about answers that are picked, and this study has coverage alone"
            elif known.series or not evidence.series:
                finding = tests[number](known, setting, cost)
            else:
                finding = f"{cost} is not known: it needs {COST_MODELS[cost].needs}"
            judged.append(judge_found(number, sentence, finding, evidence, cost))
    return judged


def _sizes_cross(evidence: Evidence, setting: Setting, cost: str) -> Found:
    parts: list[Part] = []
    untested: list[str] = []
    for small, large in setting.pairs():
        name = f"{small} and {large}"
        smaller, larger = (evidence.get(policy, setting.headline) for policy in (small, large))
        elements: tuple[Element, ...] = ()
        if smaller is not None and larger is not None:
            elements = _ahead_in_turn(smaller, larger, evidence, cost)
        if not elements:
            untested.append(name)
            continue
        statistic = "least of: smaller ahead at the least shared compute, larger ahead at the most"
        parts.append(Part(name, statistic, elements))
    if not parts:
        return "needs two sizes of one family whose compute overlaps"
    text = "some two neighbouring sizes cross" + _in_coverage(setting)
    return (Statement(text, "there is", tuple(parts), untested=tuple(untested)),)


def _ahead_in_turn(small: Series, large: Series, evidence: Evidence, cost: str) -> tuple[Element, ...]:
    """How far the smaller is ahead where both begin, and the larger where one ends; none without overlap."""
    costs = small.costs[cost], large.costs[cost]
    # Where a verifier is counted, or tokens alone, a sample of the larger one may be the cheaper.
    low, high = max(one[0] for one in costs), min(one[-1] for one in costs)
    if high <= low:
        return ()
    gaps = ((small, large, low), (large, small, high))
    credits = ((ahead.at_cost(at, cost), behind.at_cost(at, cost)) for ahead, behind, at in gaps)
    return tuple(
        mean_element(ahead - behind, evidence)
        for ahead, behind in credits
        if ahead is not None and behind is not None
    )


def _in_coverage(setting: Setting) -> str:
    """What to add to a statement about accuracy where only coverage was measured."""
    return ", in coverage" if setting.covers else ""


def _power_law(evidence: Evidence, setting: Setting, cost: str) -> Found:
    groups: dict[str, list[str]] = {}
    for policy in setting.policies:
        groups.setdefault(setting.family(policy), []).append(policy)
    parts, missing = [], []
    for family, policies in groups.items():
        sized = (policy for policy in policies if policy in setting.parameters)
        series = [
            measured for policy in sized if (measured := evidence.get(policy, setting.headline)) is not None
        ]
        sizes = [setting.parameters[measured.policy] for measured in series]
        if len(set(sizes)) < 2 or min(measured.budgets.size for measured in series) < 2:
            continue
        law = optimal_size(series, sizes, evidence, cost, ended=setting.covers)
        if law.alpha is None or law.fit.status != "ok":
            missing.append(f"{family}: {law.fit.status} ({law.fit.note})")
            continue
        parts.append(Part(f"family {family}", "alpha", (_element(law.alpha, evidence.level),)))
    if not parts:
        return "; ".join(missing) or "needs two sizes of one family"
    return (mean_of_parts("alpha is above 0" + _in_coverage(setting), parts, evidence.level),)


def _element(draws: Floats, level: float) -> Element:
    """Of a parameter, [1 + draws]; a draw that does not have it counts at both ends."""
    known = np.isfinite(draws)
    low, high = (
        percentile_interval(np.where(known, draws, end)[1:], level)[side]
        for side, end in enumerate((-np.inf, np.inf))
    )
    filled = np.where(known, draws, draws[0])
    return Element(filled, max(float(filled[1:].std()), np.finfo(np.float64).eps), Interval(low, high))


def _pareto(evidence: Evidence, setting: Setting, cost: str) -> Found:
    rebase = setting.search("rebase")
    if rebase is None:
        return "needs a generator of kind rebase"
    gaps: dict[tuple[str, int], list[Floats]] = {}
    for policy in setting.policies:
        search = evidence.get(policy, rebase)
        if search is None:
            continue
        for rival, other in _rivals(evidence, setting, policy, rebase):
            for budget, price, credits in zip(
                search.budgets.tolist(), search.costs[cost], search.credits, strict=True
            ):
                bought = other.at_cost(float(price), cost)
                if bought is not None:
                    gaps.setdefault((rival.short, budget), []).append(credits - bought)
    if not gaps:
        return "needs another strategy that some budget of REBASE can buy"
    parts = tuple(
        mean_part(
            f"REBASE at {budget} against {rival}",
            f"accuracy ahead at equal compute, mean of {len(vectors)} policies",
            np.mean(vectors, axis=0),
            evidence,
        )
        for (rival, budget), vectors in gaps.items()
    )
    text = "no other strategy is better at any budget, on the mean over policies"
    return (Statement(text, "for all", parts, margin=setting.margin),)


def _rivals(
    evidence: Evidence, setting: Setting, policy: str, strategy: Strategy
) -> Iterator[tuple[Strategy, Series]]:
    for rival in setting.strategies:
        series = evidence.get(policy, rival)
        if series is not None and rival.generator != strategy.generator:
            yield rival, series


def _less_compute(evidence: Evidence, setting: Setting, cost: str) -> Found:
    rebase = setting.search("rebase")
    if rebase is None:
        return "needs a generator of kind rebase"
    pairs = {
        policy: (evidence.get(policy, rebase), evidence.get(policy, setting.headline))
        for policy in setting.policies
    }
    parts = _sooner(
        "REBASE is ahead at equal compute, near where samples stop gaining", pairs, evidence, cost
    )
    return parts or "needs REBASE and sampling of one policy with compute in common"


def _sooner(
    text: str, pairs: Mapping[str, tuple[Series | None, Series | None]], evidence: Evidence, cost: str
) -> tuple[Statement, ...]:
    """Whether methods are ahead of baselines at the compute at which the baseline has done its gaining.

    That is the method's first budget at or beyond the compute that brings the baseline within a point of its
    best, or its last one. The method is compared where it was measured, at few budgets: on a bending curve a
    line between two of them is too low. Who is ahead at some compute needs less for the other's accuracy
    there.
    """
    values: dict[str, Floats] = {}
    notes: dict[str, str] = {}
    for name, (method, baseline) in pairs.items():
        if method is None or baseline is None:
            continue
        price = float(np.exp(near_best(line(baseline, cost, evidence))[0]))
        costs = method.costs[cost]
        index = min(int(np.searchsorted(costs, price * (1 - _ROUNDING))), costs.size - 1)
        bought = baseline.at_cost(float(costs[index]), cost)
        if bought is None:
            continue
        values[name] = method.credits[index] - bought
        factor = factor_saved(method, baseline, cost, evidence)
        spent = f"{costs[index]:.2g} {COST_MODELS[cost].unit}"
        notes[name] = f"at {spent}; less compute to within a point of its best: {factor.text}"
    if not values:
        return ()
    statistic = (
        "ahead at the first budget beyond where the baseline is within a point of its best, or the last"
    )
    return (on_average(text, statistic, values, evidence, notes),)


def _gap(evidence: Evidence, setting: Setting, cost: str) -> Found:
    pair = setting.selecting("weighted"), setting.selecting("majority")
    if pair[0] is None or pair[1] is None:
        return "needs the selectors weighted and majority over samples"
    gaps: dict[str, Floats] = {}
    shrinks: dict[str, Floats] = {}
    rebase = setting.search("rebase")
    for policy in setting.policies:
        sampled = [evidence.get(policy, strategy) for strategy in pair]
        if sampled[0] is None or sampled[1] is None:
            continue
        gaps[policy] = sampled[0].credits[-1] - sampled[1].credits[-1]
        if rebase is None:
            continue
        searched = [
            evidence.get(policy, setting.selecting(name, rebase.generator))
            for name in ("weighted", "majority")
        ]
        if searched[0] is None or searched[1] is None:
            continue
        shared = sorted(set(sampled[0].budgets.tolist()) & set(searched[0].budgets.tolist()))
        if shared:
            over = _at(sampled[0], shared[-1]) - _at(sampled[1], shared[-1])
            under = _at(searched[0], shared[-1]) - _at(searched[1], shared[-1])
            # Halved, so that it is a difference of accuracies, in [-1, 1].
            shrinks[policy] = (over - under) / 2
    if not gaps:
        return "needs a policy with weighted and majority voting over samples"
    statements = [
        on_average("weighted is ahead of majority", "weighted minus majority, most samples", gaps, evidence)
    ]
    if not shrinks:
        missing = "its second part needs a generator of kind rebase, with a budget that samples have too"
        return Partly(tuple(statements), missing)
    statistic = "half of: gap over samples minus gap under REBASE, largest shared budget"
    statements.append(on_average("the gap is smaller under REBASE", statistic, shrinks, evidence))
    return tuple(statements)


def _at(series: Series, budget: int) -> Floats:
    """Credits at a budget that the series has."""
    credits: Floats = series.credits[int(np.searchsorted(series.budgets, budget))]
    return credits


def _by_level(evidence: Evidence, setting: Setting, cost: str) -> Found:
    rebase = setting.search("rebase")
    if rebase is None:
        return "needs a generator of kind rebase"
    if evidence.levels is None:
        return "needs problems with levels"
    hard = evidence.levels >= EASIEST_HARD_LEVEL
    if min(hard.sum(), (~hard).sum()) < FEWEST_PROBLEMS:
        return f"needs {FEWEST_PROBLEMS} problems of levels 1 and 2, and as many above"
    parts = []
    for policy in setting.policies:
        search, sampled = (evidence.get(policy, strategy) for strategy in (rebase, setting.headline))
        if search is None or sampled is None:
            continue
        bought = sampled.at_cost(float(search.costs[cost][-1]), cost)
        if bought is not None:
            element = subset_element(search.credits[-1] - bought, evidence, hard, ~hard)
            statistic = "gain of REBASE over sampling on hard problems minus on easy ones"
            parts.append(Part(policy, statistic, (element,)))
    if not parts:
        return "needs REBASE and sampling of one policy"
    return (mean_of_parts("the gain is larger on hard problems", parts, evidence.level),)


def _mcts(evidence: Evidence, setting: Setting, cost: str) -> Found:
    mcts = setting.search("mcts")
    if mcts is None:
        return "needs a generator of kind mcts"
    values = {}
    for policy in setting.policies:
        search, sampled = (evidence.get(policy, strategy) for strategy in (mcts, setting.headline))
        if search is None or sampled is None:
            continue
        bought = [sampled.at_cost(float(price), cost) for price in search.costs[cost]]
        gaps = [
            sampling - credit
            for sampling, credit in zip(bought, search.credits, strict=True)
            if sampling is not None
        ]
        if gaps:
            values[policy] = np.mean(gaps, axis=0)
    if not values:
        return "needs MCTS and sampling of one policy"
    statistic = "sampling minus MCTS at equal compute, mean over budgets"
    return (on_average("MCTS is below sampling", statistic, values, evidence),)


def _saturated(evidence: Evidence, setting: Setting, cost: str) -> Found:
    parts = []
    for policy in setting.policies:
        series = evidence.get(policy, setting.headline)
        if series is None or series.budgets[-1] < FEWEST_SAMPLES:
            continue
        most = int(series.budgets[-1])
        half = series.at_budget(most // 2)
        if half is not None:
            statistic = f"{SATURATED:g} minus the gain from {most // 2} to {most} samples"
            element = mean_element(half - series.credits[-1], evidence)
            parts.append(Part(policy, statistic, (_shifted(element, SATURATED),)))
    if not parts:
        return f"needs budgets of {FEWEST_SAMPLES} samples or more, and half as many"
    return (Statement("every accuracy has saturated", "for all", tuple(parts)),)


def _shifted(element: Element, by: float) -> Element:
    low, high = element.interval
    return Element(element.draws + by, element.error, Interval(low + by, high + by))


def _smaller(evidence: Evidence, setting: Setting, cost: str) -> Found:
    pairs = {
        f"{small} and {large}": (
            evidence.get(small, setting.headline),
            evidence.get(large, setting.headline),
        )
        for small, large in setting.pairs()
    }
    return _sooner(
        "the smaller is ahead at equal compute, near where the larger stops gaining", pairs, evidence, cost
    ) or ("needs two sizes of one family")
