"""The pool of a sampling generator: independent candidates, of which every smaller budget is a subset.

Wu et al. 2024, section 3: majority voting, weighted voting and best-of-n over samples, with the oracle
pass@k beside them; costs are those of a random k-subset of the pool.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from isoflop.arrays import Bools, Floats
from isoflop.costs.pools import expected_costs
from isoflop.costs.work import Usage
from isoflop.errors import UserError
from isoflop.seeds import derive_seed
from isoflop.selection.pool import Candidates, Group, PickingCredits, SelectSpec, StepScores, groups
from isoflop.selection.registry import Answers
from isoflop.selection.voting import draws_needed
from isoflop.strategy import LIMIT, NONE, Picking


@dataclass(frozen=True)
class SamplePool:
    """The samples of all problems, with what they took.

    Attributes
    ----------
    candidates
        Graded, of all problems.
    scores, verifiers
        Step scores and work of every verifier, by name.
    prompt
        Prompt tokens, [candidates].
    policy
        Its work on all candidates.
    limits
        Whether selectors that vote are asked for their limit.
    """

    candidates: Candidates
    scores: Mapping[str, StepScores]
    prompt: Floats
    policy: Usage
    verifiers: Mapping[str, Usage]
    limits: bool = True

    def credits(self, spec: SelectSpec) -> list[PickingCredits]:
        """Credits of every picking, [budgets, problems], in the order of isoflop.selection.pool.groups.

        Parameters
        ----------
        spec
            What is asked for.

        Raises
        ------
        UserError
            For a pool smaller than the largest budget, a greedy pool of more than one candidate, or scores
            that cannot be aggregated or vote.

        Notes
        -----
        Each problem's Monte Carlo depends on `spec.seed` and its identifier, not on the order of problems or
        samples.
        """
        if spec.generator_kind == "greedy":
            return [_greedy(self.candidates)]
        _check_pool_sizes(self.candidates, spec.budgets[-1])
        asked = groups(self.candidates, self.scores, spec)
        return [credits for group in asked for credits in self._group_credits(group, spec)]

    def costs(self, budgets: Sequence[int], verifier: str, asked: Sequence[str] = ()) -> dict[str, Floats]:
        """Expected cost of a random k-subset.

        Parameters
        ----------
        budgets
            Numbers of samples k.
        verifier
            Its name; "none" where none is used.
        asked
            Cost models beyond those of every study.

        Returns
        -------
        By column, [budgets, problems].
        """
        read = self.verifiers.get(verifier)
        return expected_costs(budgets, self.candidates.sizes, self.prompt, self.policy, read, asked)

    def part(self, rows: Bools) -> "SamplePool":
        """The pool of some candidates; seconds go by tokens.

        Parameters
        ----------
        rows
            Which candidates, [candidates], at least one of each problem.
        """

        def share(usage: Usage) -> Usage:
            taken = float(usage.tokens[rows].sum()) / max(float(usage.tokens.sum()), 1.0)
            return replace(usage, tokens=usage.tokens[rows], seconds=usage.seconds * taken)

        whole = self.candidates
        return replace(
            self,
            candidates=replace(
                whole,
                sizes=np.add.reduceat(rows.astype(np.int64), np.cumsum(whole.sizes) - whole.sizes),
                answer_class=whole.answer_class[rows],
                correct=whole.correct[rows],
                confidence=None if whole.confidence is None else whole.confidence[rows],
            ),
            prompt=self.prompt[rows],
            policy=share(self.policy),
            scores={
                name: StepScores(steps.scores[np.repeat(rows, steps.counts)], steps.counts[rows])
                for name, steps in self.scores.items()
            },
            verifiers={name: share(usage) for name, usage in self.verifiers.items()},
        )

    def _group_credits(self, group: Group, spec: SelectSpec) -> list[PickingCredits]:
        candidates, selector = self.candidates, group.selector
        sizes, names, count = candidates.sizes, candidates.problem_ids, len(spec.budgets)
        limit = self.limits and selector.votes
        budgets = (*spec.budgets, LIMIT) if limit else spec.budgets
        ends = np.cumsum(sizes)
        pools = [
            [
                Answers.scored(
                    candidates.answer_class[start:end],
                    candidates.correct[start:end],
                    None if weights is None else weights[start:end],
                    votes=selector.votes,
                )
                for weights in group.weights
            ]
            for start, end in zip((ends - sizes).tolist(), ends.tolist(), strict=True)
        ]

        def stream(problem: int) -> np.random.Generator:
            return np.random.default_rng(derive_seed("select", spec.seed, names[problem]))

        credit, error = np.zeros((2, len(group.pickings), len(budgets), len(names)))
        bounds = np.zeros((len(group.pickings), 2, len(names)))
        drawn = selector.over_problems(pools, spec.budgets, draws_needed(len(names)), stream)
        credit[:, :count], error[:, :count] = (values.transpose(1, 2, 0) for values in drawn)
        for row in range(len(group.pickings) if limit else 0):
            found = selector.limits([of_problem[row] for of_problem in pools])
            credit[row, -1], bounds[row, 0], bounds[row, 1] = np.array(found).T
        return [
            PickingCredits(picking, budgets, credit[row], error[row], bounds[row] if limit else None)
            for row, picking in enumerate(group.pickings)
        ]


def _greedy(candidates: Candidates) -> PickingCredits:
    if np.any(candidates.sizes != 1):
        at = int(np.argmax(candidates.sizes != 1))
        raise UserError(
            f"problem {candidates.problem_ids[at]} has {candidates.sizes[at]} greedy candidates instead of "
            "1; sample again"
        )
    credit = candidates.correct.astype(np.float64)[None, :]
    return PickingCredits(Picking(NONE, NONE, NONE), (1,), credit, np.zeros_like(credit))


def _check_pool_sizes(candidates: Candidates, largest: int) -> None:
    if np.any(candidates.sizes < largest):
        at = int(np.argmax(candidates.sizes < largest))
        raise UserError(
            f"budgets: {largest} is more than the {candidates.sizes[at]} candidates of problem "
            f"{candidates.problem_ids[at]}; lower the budget or sample more"
        )
