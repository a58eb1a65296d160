"""Every selector, step aggregation and budget for a set of problems: candidates and scores to credits.

Wu et al. 2024, section 3: majority voting, weighted voting and best-of-n over samples, with the oracle
pass@k beside them; costs are those of a random k-subset of the pool.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, model_validator

from isoflop.arrays import Bools, Floats, Ints
from isoflop.costs import COST_MODELS, ModelShape, flops_kaplan, flops_total, flops_wu2024
from isoflop.errors import UserError
from isoflop.seeds import derive_seed
from isoflop.selection.aggregation import aggregate_steps
from isoflop.selection.best_of_k import best_of_k, pass_at_k
from isoflop.selection.voting import (
    NO_ANSWER,
    draws_needed,
    limit_bounds,
    make_ballot,
    vote_credits,
    whole_pool_vote,
)

NONE = "none"
# The budget that stands for k -> infinity.
LIMIT = 0

_VERIFIED = ("weighted", "best_of_n")
_VOTES = ("majority", "weighted")


class SelectSpec(BaseModel):
    """All that decides the select stage's table, next to the tables it reads.

    `verifiers`: names, in the order of the score tables on the command line; `outcome_verifiers`: those of
    them that score whole solutions, for which the only step aggregation is `last`. `generator_kind`: for
    greedy, which has one candidate, budgets, selectors and step aggregations have no effect. `length`: of the
    chains of revisions that are picked from. `halves`: the pool tells difficulty, so each of its halves is
    measured too, while the other tells. `code`: digest of the stage's import closure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    budgets: tuple[int, ...] = (1,)
    selectors: tuple[Literal["pass", "majority", "weighted", "best_of_n"], ...] = ()
    step_aggregations: tuple[Literal["last", "min", "product", "mean"], ...] = ()
    verifiers: tuple[str, ...] = ()
    outcome_verifiers: tuple[str, ...] = ()
    cost_models: tuple[str, ...] = COST_MODELS
    seed: int
    generator_kind: Literal["greedy", "sampling", "import", "search", "revisions"]
    length: int | None = None
    halves: bool = False
    code: str

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.cost_models != COST_MODELS:
            raise ValueError(f"cost_models: the table has all of {', '.join(COST_MODELS)}, in this order")
        if not self.budgets or self.budgets[0] < 1 or any(a >= b for a, b in pairwise(self.budgets)):
            raise ValueError(f"budgets: {self.budgets} must start at 1 or above and rise")
        for key in ("selectors", "step_aggregations", "verifiers"):
            values = getattr(self, key)
            if len(set(values)) != len(values):
                raise ValueError(f"{key}: a name is given twice")
        if not set(self.outcome_verifiers) <= set(self.verifiers):
            raise ValueError("outcome_verifiers: must be among verifiers")
        if self.outcome_verifiers and "last" not in self.step_aggregations:
            raise ValueError("step_aggregations: an outcome verifier needs last")
        if (self.length is not None) != (self.generator_kind == "revisions"):
            raise ValueError("length: goes with generator_kind revisions")
        if self.halves and self.generator_kind not in ("sampling", "import", "revisions"):
            raise ValueError("halves: only pools of samples and chains have any")
        if NONE in self.verifiers:
            raise ValueError(f"verifiers: {NONE!r} stands for no verifier; give it another name")
        if self.generator_kind != "greedy":
            verified = [selector for selector in self.selectors if selector in _VERIFIED]
            if not self.selectors:
                raise ValueError("selectors: name at least one")
            if verified and not (self.verifiers and self.step_aggregations):
                raise ValueError(f"selectors: {verified[0]} needs verifiers and step_aggregations")
        return self

    def aggregations(self, verifier: str) -> tuple[str, ...]:
        """How a verifier's step scores become a solution's score."""
        return ("last",) if verifier in self.outcome_verifiers else self.step_aggregations


class Strategy(NamedTuple):
    """How one answer is picked; "none" where a part is not used."""

    verifier: str
    selector: str
    step_aggregation: str


@dataclass(frozen=True)
class Pools:
    """The graded candidates of all problems, problem by problem.

    `problem_ids`: [problems]; `sizes`: candidates per problem, [problems]; `answer_class` and `correct`:
    [candidates].
    """

    problem_ids: Sequence[str]
    sizes: Ints
    answer_class: Ints
    correct: Bools


@dataclass(frozen=True)
class StepScores:
    """One verifier's scores: flat [scores of all candidates], and scores per candidate [candidates].

    A candidate with none was too long for the verifier.
    """

    scores: Floats
    counts: Ints


@dataclass(frozen=True)
class Usage:
    """What one model's work on all candidates took: its shape, seconds in all, and tokens per candidate.

    `tokens`: [candidates]; generated ones of the policy, read ones of a verifier.
    """

    model: ModelShape
    seconds: float
    tokens: Floats


@dataclass(frozen=True)
class StrategyCredits:
    """Expected credit of one strategy; `credit` and `standard_error` have shape [budgets, problems].

    `budgets` has `LIMIT` last where the limit k -> infinity is estimated; `limit_bounds` [2, problems] then
    holds what its credit may be between, for all the pool says.
    """

    strategy: Strategy
    budgets: tuple[int, ...]
    credit: Floats
    standard_error: Floats
    limit_bounds: Floats | None = None


def select_credits(
    pools: Pools, scores: Mapping[str, StepScores], spec: SelectSpec, *, limit: bool = True
) -> list[StrategyCredits]:
    """Credits of every strategy that `spec` asks for; `limit`: votes at infinitely many samples too.

    Order: strategies without a verifier as `spec.selectors` has them, then by verifier, selector, step
    aggregation. Each problem's Monte Carlo depends on `spec.seed` and its identifier, not on the order of
    problems or samples. Raises UserError for a pool smaller than the largest budget, a greedy pool of more
    than one candidate, or scores that cannot be aggregated or vote.
    """
    if spec.generator_kind == "greedy":
        return [_greedy(pools)]
    _check_pool_sizes(pools, spec.budgets[-1])
    plain = [Strategy(NONE, name, NONE) for name in spec.selectors if name not in _VERIFIED]
    results = [credits for strategy in plain for credits in _collect(pools, [strategy], [None], spec, limit)]
    for verifier in spec.verifiers:
        weights = candidate_scores(pools, scores[verifier], verifier, spec)
        for selector in spec.selectors:
            if selector in _VERIFIED:
                strategies = [Strategy(verifier, selector, name) for name in spec.aggregations(verifier)]
                results += _collect(pools, strategies, weights, spec, limit)
    return results


def expected_costs(
    budgets: Sequence[int], sizes: Ints, prompt: Floats, policy: Usage, verifier: Usage | None
) -> dict[str, Floats]:
    """Expected cost of a random k-subset of each problem's pool: columns of CREDITS, [budgets, problems].

    `sizes`: candidates per problem. `prompt`: prompt tokens, [candidates]. `verifier`: None where the
    strategy uses none. The policy's prompt is processed once per problem whatever the budget; seconds are
    shared between candidates by their tokens. The limit k -> infinity costs infinitely much.
    """
    tokens = policy.tokens
    per_candidate = {
        "tokens": tokens,
        "flops_wu2024": flops_wu2024(policy.model, tokens),
        "flops_kaplan": flops_kaplan(policy.model, prompt, tokens),
        "seconds": policy.seconds * shares(tokens),
    }
    shape, read = None, np.zeros_like(tokens)
    if verifier is not None:
        shape, read = verifier.model, verifier.tokens
        per_candidate["seconds"] = per_candidate["seconds"] + verifier.seconds * shares(read)
    per_candidate["flops_total"] = flops_total(policy.model, prompt, tokens, 0.0, shape, read)
    once = {"flops_total": _pool_means(flops_total(policy.model, prompt, 0.0, 1.0), sizes)}
    samples = np.array(budgets, dtype=np.float64)[:, None]
    costs = {}
    for name, values in per_candidate.items():
        cost = samples * _pool_means(values, sizes) + once.get(name, 0.0)
        # Set apart, for infinitely many samples of cost 0 would not be a number.
        costs[name] = np.where(samples == LIMIT, np.inf, cost)
    return costs


def _greedy(pools: Pools) -> StrategyCredits:
    if np.any(pools.sizes != 1):
        at = int(np.argmax(pools.sizes != 1))
        raise UserError(
            f"problem {pools.problem_ids[at]} has {pools.sizes[at]} greedy candidates instead of 1; "
            "sample again"
        )
    credit = pools.correct.astype(np.float64)[None, :]
    return StrategyCredits(Strategy(NONE, NONE, NONE), (1,), credit, np.zeros_like(credit))


def _check_pool_sizes(pools: Pools, largest: int) -> None:
    if np.any(pools.sizes < largest):
        at = int(np.argmax(pools.sizes < largest))
        raise UserError(
            f"budgets: {largest} is more than the {pools.sizes[at]} candidates of problem "
            f"{pools.problem_ids[at]}; lower the budget or sample more"
        )


def candidate_scores(pools: Pools, steps: StepScores, verifier: str, spec: SelectSpec) -> list[Floats]:
    """Every step aggregation of one verifier's scores, each [candidates]; nan where there is none."""
    aggregated = []
    for aggregation in spec.aggregations(verifier):
        try:
            scores = solution_scores(pools.sizes, steps, aggregation)
        except UserError as error:
            raise UserError(f"scores of verifier {verifier}: {error}") from error
        if "weighted" in spec.selectors and np.any(scores < 0):
            row = int(np.argmax(scores < 0))
            raise UserError(
                f"scores of verifier {verifier}: candidate row {row} has the score {scores[row]:g}, which "
                "cannot be the weight of a vote; use scores of at least 0 or leave out the selector weighted"
            )
        aggregated.append(scores)
    return aggregated


def solution_scores(sizes: Ints, steps: StepScores, aggregation: str) -> Floats:
    """One score per candidate, [candidates]; nan where there is none.

    `sizes`: candidates per problem. Raises UserError for scores that cannot be aggregated.
    """
    scored = steps.counts > 0
    problem = np.repeat(np.arange(sizes.size), sizes)
    kept = np.bincount(problem[scored], minlength=sizes.size)
    scores = np.full(steps.counts.size, np.nan)
    scores[scored] = aggregate_steps(steps.scores, steps.counts[scored], kept, aggregation)
    return scores


class _Part(NamedTuple):
    """One problem's pool as a selector sees it: what has no score takes no part, and is no answer."""

    answer_class: Ints
    correct: Bools
    scores: Floats | None

    @classmethod
    def of(cls, answers: Ints, right: Bools, scores: Floats | None, votes: bool) -> Self:
        """All arrays [candidates of the problem]; a missing score is nan."""
        if scores is None:
            return cls(answers, right, None)
        missing = np.isnan(scores)
        if not missing.any():
            return cls(answers, right, scores)
        # No weight to a vote; below all others for the best of n.
        worst = 0.0 if votes or missing.all() else float(scores[~missing].min()) - 1.0
        return cls(np.where(missing, NO_ANSWER, answers), right & ~missing, np.where(missing, worst, scores))


def _collect(
    pools: Pools,
    strategies: Sequence[Strategy],
    weights: Sequence[Floats | None],
    spec: SelectSpec,
    limit: bool,
) -> list[StrategyCredits]:
    """Credits of strategies that share a selector, each with its candidate scores (None for no verifier)."""
    votes = strategies[0].selector in _VOTES
    limit = limit and votes
    budgets = (*spec.budgets, LIMIT) if limit else spec.budgets
    draws = draws_needed(len(pools.problem_ids))
    credit, error = np.zeros((2, len(strategies), len(budgets), len(pools.problem_ids)))
    bounds = np.zeros((len(strategies), 2, len(pools.problem_ids)))
    ends = np.cumsum(pools.sizes)
    for column, (start, end) in enumerate(zip((ends - pools.sizes).tolist(), ends.tolist(), strict=True)):
        right = pools.correct[start:end]
        answers = pools.answer_class[start:end]
        parts = [
            _Part.of(answers, right, None if weight is None else weight[start:end], votes)
            for weight in weights
        ]
        if votes:
            ballots = [make_ballot(part.answer_class, part.correct, part.scores) for part in parts]
            seed = derive_seed("select", spec.seed, pools.problem_ids[column])
            drawn = vote_credits(ballots, spec.budgets, draws, np.random.default_rng(seed))
            credit[:, : len(spec.budgets), column], error[:, : len(spec.budgets), column] = drawn
            if limit:
                credit[:, -1, column] = [whole_pool_vote(ballot) for ballot in ballots]
                bounds[:, :, column] = [limit_bounds(ballot) for ballot in ballots]
        else:
            credit[:, :, column] = [
                pass_at_k(right, budgets)
                if part.scores is None
                else best_of_k(part.scores, part.correct, budgets)
                for part in parts
            ]
    return [
        StrategyCredits(strategy, budgets, credit[row], error[row], bounds[row] if limit else None)
        for row, strategy in enumerate(strategies)
    ]


def shares(tokens: Floats) -> Floats:
    """Each candidate's share of all tokens; equal shares where there are none."""
    total = float(tokens.sum())
    return tokens / total if total > 0 else np.full(tokens.size, 1.0 / tokens.size)


def _pool_means(values: Floats, sizes: Ints) -> Floats:
    """Mean over each problem's pool, summed in rising order: the same whatever the order of samples."""
    problem = np.repeat(np.arange(sizes.size), sizes)
    ranked = values[np.lexsort((values, problem))]
    means: Floats = np.add.reduceat(ranked, np.cumsum(sizes) - sizes) / sizes
    return means
