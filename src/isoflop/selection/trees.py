"""The pool of a tree search: what every selector makes of its solutions, and what the search cost.

A search at one budget is one pool, whole: there are no subsets of it. Its credits are averaged over its runs,
so the spread between problems, which the bootstrap draws on, holds the search's own randomness too. What a
search left unfinished does not vote and is not picked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isoflop.arrays import Bools, Floats, Ints
from isoflop.costs.pools import search_costs
from isoflop.costs.work import Party
from isoflop.errors import UserError
from isoflop.selection.pool import Candidates, PickingCredits, SelectSpec, StepScores, groups
from isoflop.selection.registry import Answers, Selector
from isoflop.strategy import Picking


@dataclass(frozen=True)
class TreePool:
    """The graded solutions of all searches: problem by problem, budget by budget, run by run.

    Attributes
    ----------
    candidates
        Its `sizes` are solutions per search, [problems * budgets * runs]; its `problem_ids` [problems].
    scores
        Of the verifier that guided the search, by its name.
    finished
        Whether a solution was ended, [solutions].
    budgets
        The searches' own.
    runs
        How often each search was run.
    usage
        Columns of USAGE, each [problems, budgets, runs].
    policy, verifier
        Shapes of the models, for prices.
    """

    candidates: Candidates
    scores: Mapping[str, StepScores]
    finished: Bools
    budgets: tuple[int, ...]
    runs: int
    usage: Mapping[str, Floats]
    policy: Party
    verifier: Party

    def credits(self, spec: SelectSpec) -> list[PickingCredits]:
        """Credits of every picking, exact: [budgets, problems], means over runs, by `spec.selectors`.

        Parameters
        ----------
        spec
            What is asked for.

        Raises
        ------
        UserError
            For scores that cannot be aggregated or vote.
        """
        ordered = sorted(
            groups(self.candidates, self.scores, spec),
            key=lambda group: spec.selectors.index(group.selector.name),
        )
        return [
            self._picking_credits(group.selector, picking, weights)
            for group in ordered
            for picking, weights in zip(group.pickings, group.weights, strict=True)
        ]

    def costs(self, budgets: Sequence[int], verifier: str, asked: Sequence[str] = ()) -> dict[str, Floats]:
        """Cost of the searches.

        Parameters
        ----------
        budgets
            The searches' own.
        verifier
            Has no effect: the verifier's reading belongs to the search, whatever picks the answer.
        asked
            Cost models beyond those of every study.

        Returns
        -------
        By column, [budgets, problems], means over runs.
        """
        return search_costs(self.usage, self.policy, self.verifier, asked)

    def _picking_credits(
        self, selector: Selector, picking: Picking, weights: Floats | None
    ) -> PickingCredits:
        candidates, ends = self.candidates, np.cumsum(self.candidates.sizes)
        credit = np.zeros(ends.size)
        starts = ends - candidates.sizes
        for search, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            members = np.flatnonzero(self.finished[start:end]) + start
            if members.size:
                pool = Answers.scored(
                    candidates.answer_class[members],
                    candidates.correct[members],
                    None if weights is None else weights[members],
                    votes=selector.votes,
                )
                credit[search] = selector.over_pool(pool)
        shape = (len(candidates.problem_ids), len(self.budgets), self.runs)
        by_budget = credit.reshape(shape).mean(axis=2).T
        return PickingCredits(picking, self.budgets, by_budget, np.zeros_like(by_budget))


def arranged(
    keys: Sequence[tuple[str, int, int]], problem_ids: Sequence[str], budgets: Sequence[int], source: str
) -> tuple[Ints, int]:
    """The index of each (problem, budget, run) in problem-major order.

    Parameters
    ----------
    keys
        Problem, budget and run (from 0) of each search.
    problem_ids
        [problems].
    budgets
        All budgets.
    source
        What errors name: the file.

    Returns
    -------
    Indices, [searches], and how many runs there are.

    Raises
    ------
    UserError
        Unless every problem has every budget and run.
    """
    runs = 1 + max((run for *_, run in keys), default=-1)
    problems = {name: index for index, name in enumerate(problem_ids)}
    columns = {budget: index for index, budget in enumerate(budgets)}
    indices = []
    for problem, budget, run in keys:
        if problem not in problems or budget not in columns:
            raise UserError(
                f"{source}: problem {problem!r} at budget {budget} is not part of this study; "
                "delete it and run again"
            )
        indices.append((problems[problem] * len(budgets) + columns[budget]) * runs + run)
    result = np.array(indices, dtype=np.int64)
    missing = len(problem_ids) * len(budgets) * runs - np.unique(result).size
    if missing:
        raise UserError(f"{source}: {missing} searches are missing; delete it and run again")
    return result, runs
