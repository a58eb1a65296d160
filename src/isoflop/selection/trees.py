"""Trees to credits: what every selector makes of the solutions of a search, and what the search cost.

A search at one budget is one pool, whole: there are no subsets of it. Its credits are averaged over its runs,
so the spread between problems, which the bootstrap draws on, holds the search's own randomness too. What a
search left unfinished does not vote and is not picked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isoflop.arrays import Bools, Floats, Ints
from isoflop.costs import ModelShape, flops_of_positions, search_flops
from isoflop.errors import UserError
from isoflop.selection.best_of_k import best_of_k
from isoflop.selection.samples import (
    NONE,
    Pools,
    SelectSpec,
    StepScores,
    Strategy,
    StrategyCredits,
    candidate_scores,
)
from isoflop.selection.voting import make_ballot, whole_pool_vote


@dataclass(frozen=True)
class Searches:
    """The graded solutions of all searches: problem by problem, budget by budget, run by run.

    `pools.sizes`: solutions per search, [problems * budgets * runs]; `pools.problem_ids`: [problems].
    `finished`: [solutions].
    """

    pools: Pools
    budgets: tuple[int, ...]
    runs: int
    finished: Bools


def search_credits(
    searches: Searches, scores: Mapping[str, StepScores], spec: SelectSpec
) -> list[StrategyCredits]:
    """Credits of every strategy, exact: [budgets, problems], means over runs.

    The scores are those that guided the search. Raises UserError for ones that cannot be aggregated or vote.
    """
    results = []
    for selector in spec.selectors:
        if selector in ("majority", "pass"):
            results.append(_credits(searches, Strategy(NONE, selector, NONE), None))
            continue
        for verifier in spec.verifiers:
            weights = candidate_scores(searches.pools, scores[verifier], verifier, spec)
            results += [
                _credits(searches, Strategy(verifier, selector, aggregation), weight)
                for aggregation, weight in zip(spec.step_aggregations, weights, strict=True)
            ]
    return results


def _credits(searches: Searches, strategy: Strategy, weights: Floats | None) -> StrategyCredits:
    pools, ends = searches.pools, np.cumsum(searches.pools.sizes)
    credit = np.zeros(ends.size)
    for place, (start, end) in enumerate(zip((ends - pools.sizes).tolist(), ends.tolist(), strict=True)):
        members = np.flatnonzero(searches.finished[start:end]) + start
        if members.size:
            weight = None if weights is None else weights[members]
            credit[place] = _credit(
                strategy.selector, pools.answer_class[members], pools.correct[members], weight
            )
    shape = (len(pools.problem_ids), len(searches.budgets), searches.runs)
    by_budget = credit.reshape(shape).mean(axis=2).T
    return StrategyCredits(strategy, searches.budgets, by_budget, np.zeros_like(by_budget))


def _credit(selector: str, answer_class: Ints, correct: Bools, weight: Floats | None) -> float:
    if selector == "pass":
        return float(correct.any())
    if selector == "best_of_n":
        assert weight is not None
        return float(best_of_k(weight, correct, (correct.size,))[0])
    return whole_pool_vote(make_ballot(answer_class, correct, weight))


def search_costs(usage: Mapping[str, Floats], policy: ModelShape, verifier: ModelShape) -> dict[str, Floats]:
    """Cost of a search by its usage: columns of CREDITS, [budgets, problems], means over runs.

    `usage`: columns of USAGE, each [problems, budgets, runs]. The verifier's reading belongs to the search,
    whatever picks the answer. Paths are read once, by either model: what a step follows is kept.
    """
    generated, attended = usage["generated"], usage["attended"]
    costs = {
        "tokens": generated,
        "flops_wu2024": flops_of_positions(policy, generated, np.zeros_like(attended)),
        "flops_kaplan": flops_of_positions(policy, generated, attended),
        "flops_total": search_flops(usage, policy, verifier),
        "seconds": usage["seconds"],
    }
    return {name: values.mean(axis=2).T for name, values in costs.items()}


def arranged(
    keys: Sequence[tuple[str, int, int]], problem_ids: Sequence[str], budgets: Sequence[int], source: str
) -> tuple[Ints, int]:
    """The place of each (problem, budget, run) in problem-major order, and how many runs there are.

    Raises UserError unless every problem has every budget and run.
    """
    runs = 1 + max((run for *_, run in keys), default=-1)
    problems = {name: place for place, name in enumerate(problem_ids)}
    columns = {budget: place for place, budget in enumerate(budgets)}
    places = []
    for problem, budget, run in keys:
        if problem not in problems or budget not in columns:
            raise UserError(
                f"{source}: problem {problem!r} at budget {budget} is not part of this study; "
                "delete it and run again"
            )
        places.append((problems[problem] * len(budgets) + columns[budget]) * runs + run)
    found = np.array(places, dtype=np.int64)
    missing = len(problem_ids) * len(budgets) * runs - np.unique(found).size
    if missing:
        raise UserError(f"{source}: {missing} searches are missing; delete it and run again")
    return found, runs
