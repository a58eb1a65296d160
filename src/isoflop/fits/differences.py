"""`differences.csv`: paired differences of accuracy, greedy decoding as the first baseline.

Every row has the cost of its left side over that of its right side under two cost models, so that no gain is
read without its price. The columns are described in docs/design/costs-and-fits.md.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from isoflop.arrays import Floats
from isoflop.estimate import fraction, number
from isoflop.families import next_sizes
from isoflop.fits.bootstrap import difference_interval
from isoflop.fits.curves import Curve, csv_text
from isoflop.fits.tables import by_strategy
from isoflop.registries import CLAIM_COSTS, COST_MODELS, SELECTORS, cost_columns, practical_selectors
from isoflop.strategy import NONE

DIFFERENCES_COLUMNS = (
    "experiment", "dataset", "subset", "comparison", "left", "right", "budget", "right_budget", "cost_model",
    "difference", "ci_low", "ci_high", "cost_ratio_wu2024", "cost_ratio_total",
)  # fmt: skip

GREEDY = "strategy - greedy"
NEXT_GREEDY = "strategy - greedy of the next size"
EQUAL_BUDGET = "search - sampling, equal budget"
EQUAL_COMPUTE = "search - sampling, equal compute"
CHAINS = "chains - parallel answers, equal number"
THINKING = "longer thinking - more votes, equal cost"
THINKING_ONCE = "longer thinking once - most votes"

# At one sample every selector answers alike; the first that both policies have stands for all.
_SINGLE_SAMPLE = (NONE, "majority", "pass", "best_of_n", "weighted")
_SELECTORS = (("weighted", "majority"), ("best_of_n", "majority"), ("best_of_n", "weighted"))


@dataclass(frozen=True)
class Side:
    """A curve at one budget, or between two at a cost.

    Attributes
    ----------
    label
        Of the curve.
    budget
        A number of samples, as text; between two budgets it need not be whole.
    credits
        Expected correctness, [problems].
    costs
        FLOPs per problem by cost model.
    """

    label: str
    budget: str
    credits: Floats
    costs: Mapping[str, float]

    @classmethod
    def at(cls, curve: Curve, index: int) -> "Side":
        """A measured point.

        Parameters
        ----------
        curve
            Of the point.
        index
            Of its budget.
        """
        costs = {name: float(values[index]) for name, values in curve.measured.items()}
        return cls(curve.key.label, str(curve.budgets[index]), curve.credits[index], costs)


@dataclass(frozen=True)
class Comparison:
    """One row: two sides on the same problems.

    Attributes
    ----------
    name
        What is compared.
    curve
        Of the left side; its bootstrap weights are both sides'.
    left, right
        The difference is left - right.
    cost_model
        At which their compute is equal; empty where it is not.
    """

    name: str
    curve: Curve
    left: Side
    right: Side
    cost_model: str = ""


def differences_csv(
    curves: Sequence[Curve],
    experiment: str,
    level: float,
    *,
    families: Mapping[str, str],
    searches: Collection[str],
    costs: Sequence[str] = (),
    published: Collection[str] = (),
    thinking: Collection[Sequence[str]] = (),
) -> str:
    """`differences.csv` for subset `all`.

    Parameters
    ----------
    curves
        Of all subsets.
    experiment
        Its name.
    level
        Confidence of intervals, in (0, 1).
    families
        Of the policies (`all` where one is not named).
    searches
        The generators that search.
    costs
        Cost models beyond those of every study.
    published
        The generators whose searches are imported: they are compared at equal budget alone.
    thinking
        Of each model that thinks, the policies, by how long they think.
    """
    on_all = [curve for curve in curves if curve.key.subset == "all"]
    rows = []
    priced = (*CLAIM_COSTS, *costs)
    compared = [
        *comparisons(on_all, families, searches, priced, published),
        *thought_comparisons(on_all, thinking, priced),
    ]
    for comparison in compared:
        key, left, right = comparison.curve.key, comparison.left, comparison.right
        low, high = difference_interval(left.credits, right.credits, comparison.curve.weights, level)
        gap = float(left.credits.mean() - right.credits.mean())
        labels = [comparison.name, left.label, right.label, left.budget, right.budget, comparison.cost_model]
        ratios = [number(_ratio(left, right, column)) for column in cost_columns(priced)]
        values = [fraction(value) for value in (gap, low, high)]
        rows.append([experiment, key.dataset, key.subset, *labels, *values, *ratios])
    return csv_text((*DIFFERENCES_COLUMNS, *(f"cost_ratio_{name}" for name in costs)), rows)


def _ratio(left: Side, right: Side, column: str) -> float:
    return left.costs[column] / right.costs[column] if right.costs[column] else np.nan


def comparisons(
    curves: Sequence[Curve],
    families: Mapping[str, str],
    searches: Collection[str],
    costs: Sequence[str] = CLAIM_COSTS,
    published: Collection[str] = (),
) -> Iterator[Comparison]:
    """Every comparison of curves.

    Parameters
    ----------
    curves
        Of subset `all`.
    families
        Of the policies (`all` where one is not named).
    searches
        The generators that search.
    costs
        Cost models at which searches are compared.
    published
        The generators whose searches are imported: they are compared at equal budget alone.
    """
    yield from _against_greedy(curves, families)
    yield from _searches(curves, searches, costs, published)
    yield from _chains(curves)
    yield from _selectors(curves)
    for curve in curves:
        if curve.budgets.size > 1 and curve.budgets[0] == 1:
            left = Side.at(curve, curve.budgets.size - 1)
            yield Comparison("largest budget - one sample", curve, left, Side.at(curve, 0))
    yield from _sizes(curves, families)


def _against_greedy(curves: Sequence[Curve], families: Mapping[str, str]) -> Iterator[Comparison]:
    """Every strategy at every budget against greedy decoding of its policy, and of the next size."""
    greedy = [curve for curve in curves if curve.key.selector == NONE]
    of_policy = {(curve.key.dataset, curve.key.policy): curve for curve in greedy}
    larger: dict[tuple[str, str], Curve] = {}
    for dataset in dict.fromkeys(dataset for dataset, _ in of_policy):
        sizes = {
            policy: curve.policy_params
            for (name, policy), curve in of_policy.items()
            if name == dataset and curve.policy_params is not None
        }
        for small, large in next_sizes(sizes, families):
            larger.setdefault((dataset, small), of_policy[dataset, large])
    for name, baselines in ((GREEDY, of_policy), (NEXT_GREEDY, larger)):
        for curve in curves:
            baseline = baselines.get((curve.key.dataset, curve.key.policy))
            if baseline is None or not (
                curve.key.selector in practical_selectors()
                or (name == NEXT_GREEDY and curve.key.selector == NONE)
            ):
                continue
            for index in range(curve.budgets.size):
                yield Comparison(name, curve, Side.at(curve, index), Side.at(baseline, 0))


def _searches(
    curves: Sequence[Curve], searches: Collection[str], costs: Sequence[str], published: Collection[str]
) -> Iterator[Comparison]:
    """Searches against samples of the same policy, selected alike: at equal budget and at equal compute."""
    by_key = {curve.key: curve for curve in curves}
    sampling = [
        name
        for name in dict.fromkeys(
            curve.key.generator for curve in curves if curve.key.selector in practical_selectors()
        )
        if name not in searches and name not in published and "/" not in name
    ]
    for curve in curves:
        known = curve.key.generator in searches
        if not (known or curve.key.generator in published):
            continue
        if curve.key.selector not in practical_selectors():
            continue
        baseline = next(
            (by_key[key] for name in sampling if (key := curve.key._replace(generator=name)) in by_key), None
        )
        if baseline is None:
            continue
        for index, budget in enumerate(curve.budgets.tolist()):
            if budget in baseline.budgets:
                right = Side.at(baseline, _at(baseline, budget))
                yield Comparison(EQUAL_BUDGET, curve, Side.at(curve, index), right)
            # What a published search threw away has cost too, and nobody knows what.
            for cost in costs if known else ():
                column = COST_MODELS[cost].column
                bought = at_cost(baseline, float(curve.measured[column][index]), column)
                if bought is not None:
                    yield Comparison(EQUAL_COMPUTE, curve, Side.at(curve, index), bought, cost)


def at_cost(curve: Curve, cost: float, column: str) -> Side | None:
    """What some cost buys, linear in its logarithm.

    Parameters
    ----------
    curve
        With costs that rise with the budget.
    cost
        Per problem.
    column
        Of the cost model.

    Returns
    -------
    None outside of what was measured.
    """
    with np.errstate(divide="ignore"):
        logs = {name: np.log(values) for name, values in curve.measured.items()}
    x, at = logs[column], np.log(cost)
    if not x[0] - 1e-9 <= at <= x[-1] + 1e-9:
        return None
    position = float(np.interp(at, x, np.arange(x.size)))
    left = min(int(position), max(x.size - 2, 0))
    share = position - left
    after = min(left + 1, x.size - 1)

    def between(values: Floats) -> Floats:
        mixed: Floats = (1 - share) * values[left] + share * values[after]
        return mixed

    costs = {name: float(np.exp(between(values))) for name, values in logs.items()}
    budget = float(np.exp(between(np.log(curve.budgets.astype(np.float64)))))
    return Side(curve.key.label, f"{budget:.4g}", between(curve.credits), costs)


def _chains(curves: Sequence[Curve]) -> Iterator[Comparison]:
    """Chains of revisions of every length against as many first answers."""
    by_key = {curve.key: curve for curve in curves}
    for curve in curves:
        name, _, length = curve.key.generator.partition("/")
        parallel = by_key.get(curve.key._replace(generator=f"{name}/1"))
        if length in ("", "1") or parallel is None or curve.key.selector not in practical_selectors():
            continue
        for index, budget in enumerate(curve.budgets.tolist()):
            if budget in parallel.budgets:
                right = Side.at(parallel, _at(parallel, budget))
                yield Comparison(CHAINS, curve, Side.at(curve, index), right)


def thought_comparisons(
    curves: Sequence[Curve], thinking: Collection[Sequence[str]], costs: Sequence[str]
) -> Iterator[Comparison]:
    """A model that thinks longer against the same that thinks less and is asked more often.

    Both are picked from alike. At equal cost: every number of answers of the one that thinks longer against
    as many of the other as cost the same. And one answer of the one that thinks longer against the most of
    the other.

    Parameters
    ----------
    curves
        Of subset `all`.
    thinking
        Of each model that thinks, its policies by how long they think.
    costs
        Cost models at which the two are compared.
    """
    by_key = {curve.key: curve for curve in curves if curve.key.selector in practical_selectors()}
    for key, longer in by_key.items():
        for policies in thinking:
            if key.policy not in policies:
                continue
            for policy in policies[: list(policies).index(key.policy)]:
                shorter = by_key.get(key._replace(policy=policy))
                if shorter is None:
                    continue
                if longer.budgets[0] == 1:
                    most = Side.at(shorter, shorter.budgets.size - 1)
                    yield Comparison(THINKING_ONCE, longer, Side.at(longer, 0), most)
                for cost in costs:
                    column = COST_MODELS[cost].column
                    for place in range(longer.budgets.size):
                        bought = at_cost(shorter, float(longer.measured[column][place]), column)
                        if bought is not None:
                            yield Comparison(THINKING, longer, Side.at(longer, place), bought, cost)


def _selectors(curves: Sequence[Curve]) -> Iterator[Comparison]:
    """Selectors of the same candidates, at every budget from 2 on."""
    by_key = {curve.key: curve for curve in curves}
    for left_selector, right_selector in _SELECTORS:
        for left in curves:
            if left.key.selector != left_selector:
                continue
            verifier = {"verifier": NONE, "step_aggregation": NONE} if right_selector == "majority" else {}
            right = by_key.get(left.key._replace(selector=right_selector, **verifier))
            if right is not None:
                name = f"{left_selector} - {right_selector}"
                for budget in sorted(set(left.budgets.tolist()) & set(right.budgets.tolist()) - {1}):
                    sides = [Side.at(curve, _at(curve, budget)) for curve in (left, right)]
                    yield Comparison(name, left, sides[0], sides[1])


def _sizes(curves: Sequence[Curve], families: Mapping[str, str]) -> Iterator[Comparison]:
    """Next sizes of a family with one sample, or greedily."""
    single = [curve for curve in curves if 1 in curve.budgets]
    done = set()
    others = (name for name in SELECTORS.names if name not in _SINGLE_SAMPLE)
    for selector in (*_SINGLE_SAMPLE, *others):
        for key, group in by_strategy([c for c in single if c.key.selector == selector], families).items():
            if (key.dataset, key.policy, key.generator) in done or len(group) < 2:
                continue
            done.add((key.dataset, key.policy, key.generator))
            sized = [curve for curve in group if curve.policy_params is not None]
            for smaller, larger in pairwise(sized):
                left, right = (Side.at(curve, _at(curve, 1)) for curve in (larger, smaller))
                yield Comparison("policy - next smaller policy", larger, left, right)


def _at(curve: Curve, budget: int) -> int:
    return int(np.searchsorted(curve.budgets, budget))
