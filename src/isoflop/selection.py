"""Every selector, step aggregation and budget for a set of problems: candidates and scores to credits.

Wu et al. 2024, section 3: majority voting, weighted voting and best-of-n over samples, with the oracle
pass@k beside them; costs are those of a random k-subset of the pool.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from isoflop.aggregation import aggregate_steps
from isoflop.costs import COST_MODELS, ModelShape, flops_kaplan, flops_total, flops_wu2024
from isoflop.errors import UserError
from isoflop.estimators import best_of_k, pass_at_k
from isoflop.seeds import derive_seed
from isoflop.voting import Ballot, draws_needed, make_ballot, vote_credits, whole_pool_vote

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

NONE = "none"
# The budget that stands for k -> infinity.
LIMIT = 0

_VERIFIED = ("weighted", "best_of_n")
_VOTES = ("majority", "weighted")


class SelectSpec(BaseModel):
    """All that decides the select stage's table, next to the tables it reads.

    `verifiers`: names, in the order of the score tables on the command line. `generator_kind`: for greedy,
    which has one candidate and nothing to select, budgets, selectors and step aggregations have no effect.
    `code`: digest of the stage's import closure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    budgets: tuple[int, ...] = (1,)
    selectors: tuple[Literal["pass", "majority", "weighted", "best_of_n"], ...] = ()
    step_aggregations: tuple[Literal["last", "min", "product", "mean"], ...] = ()
    verifiers: tuple[str, ...] = ()
    cost_models: tuple[Literal["flops_wu2024", "flops_kaplan", "flops_total"], ...] = COST_MODELS
    seed: int
    generator_kind: Literal["greedy", "sampling"]
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
        if NONE in self.verifiers:
            raise ValueError(f"verifiers: {NONE!r} stands for no verifier; give it another name")
        if self.generator_kind != "greedy":
            verified = [selector for selector in self.selectors if selector in _VERIFIED]
            if not self.selectors:
                raise ValueError("selectors: name at least one")
            if verified and not (self.verifiers and self.step_aggregations):
                raise ValueError(f"selectors: {verified[0]} needs verifiers and step_aggregations")
        return self


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
    """One verifier's scores: flat [steps of all candidates], and steps per candidate [candidates]."""

    scores: Floats
    counts: Ints


@dataclass(frozen=True)
class StrategyCredits:
    """Expected credit of one strategy; `credit` and `standard_error` have shape [budgets, problems].

    `budgets` has `LIMIT` last where the limit k -> infinity is estimated.
    """

    strategy: Strategy
    budgets: tuple[int, ...]
    credit: Floats
    standard_error: Floats


def select_credits(pools: Pools, scores: Mapping[str, StepScores], spec: SelectSpec) -> list[StrategyCredits]:
    """Credits of every strategy that `spec` asks for.

    Order: strategies without a verifier as `spec.selectors` has them, then by verifier, selector, step
    aggregation. Each problem's Monte Carlo depends on `spec.seed` and its identifier, not on the order of
    problems or samples. Raises UserError for a pool smaller than the largest budget, a greedy pool of more
    than one candidate, or scores that cannot be aggregated or vote.
    """
    if spec.generator_kind == "greedy":
        return [_greedy(pools)]
    _check_pool_sizes(pools, spec.budgets[-1])
    draws = draws_needed(len(pools.problem_ids))
    results = []
    for selector in spec.selectors:
        if selector not in _VERIFIED:
            results.append(_collect(pools, Strategy(NONE, selector, NONE), [None], spec, draws)[0])
    for verifier in spec.verifiers:
        weights = _candidate_scores(pools, scores[verifier], verifier, spec)
        for selector in spec.selectors:
            if selector in _VERIFIED:
                results += _collect(pools, Strategy(verifier, selector, NONE), weights, spec, draws)
    return results


def expected_costs(
    budgets: Sequence[int],
    sizes: Ints,
    prompt: Floats,
    tokens: Floats,
    sampling: tuple[ModelShape, float],
    scoring: tuple[ModelShape, float, Floats] | None,
) -> dict[str, Floats]:
    """Expected cost of a random k-subset of each problem's pool: columns of CREDITS, each [budgets, problems].

    `sizes`: candidates per problem. `prompt`, `tokens`: prompt and generated tokens, [candidates].
    `sampling`: the policy and the seconds that all candidates took. `scoring`: the verifier, its seconds and
    its tokens [candidates]; None where the strategy uses none. The policy's prompt is processed once per
    problem whatever the budget; seconds are shared between candidates by their tokens. The limit k ->
    infinity costs infinitely much.
    """
    policy, seconds = sampling
    per_candidate = {
        "tokens": tokens,
        "flops_wu2024": flops_wu2024(policy, tokens),
        "flops_kaplan": flops_kaplan(policy, prompt, tokens),
        "seconds": seconds * _shares(tokens),
    }
    verifier, read = None, np.zeros_like(tokens)
    if scoring is not None:
        verifier, scoring_seconds, read = scoring
        per_candidate["seconds"] = per_candidate["seconds"] + scoring_seconds * _shares(read)
    means = {name: _pool_means(values, sizes) for name, values in per_candidate.items()}
    costs: dict[str, list[Floats]] = {name: [] for name in (*means, "flops_total")}
    for budget in budgets:
        if budget == LIMIT:
            for column in costs.values():
                column.append(np.full(sizes.size, np.inf))
            continue
        for name, mean in means.items():
            costs[name].append(budget * mean)
        total = flops_total(policy, prompt, tokens, 1.0 / budget, verifier, read)
        costs["flops_total"].append(budget * _pool_means(total, sizes))
    return {name: np.array(column) for name, column in costs.items()}


def _greedy(pools: Pools) -> StrategyCredits:
    if np.any(pools.sizes != 1):
        at = int(np.argmax(pools.sizes != 1))
        raise UserError(
            f"problem {pools.problem_ids[at]} has {pools.sizes[at]} greedy candidates instead of 1; sample again"
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


def _candidate_scores(
    pools: Pools, steps: StepScores, verifier: str, spec: SelectSpec
) -> list[tuple[str, Floats]]:
    """Every step aggregation of one verifier's scores, with its name."""
    aggregated = []
    for aggregation in spec.step_aggregations:
        try:
            scores = aggregate_steps(steps.scores, steps.counts, pools.sizes, aggregation)
        except UserError as error:
            raise UserError(f"scores of verifier {verifier}: {error}") from error
        if "weighted" in spec.selectors and np.any(scores < 0):
            row = int(np.argmax(scores < 0))
            raise UserError(
                f"scores of verifier {verifier}: candidate row {row} has the score {scores[row]:g}, which "
                "cannot be the weight of a vote; use scores of at least 0 or leave out the selector weighted"
            )
        aggregated.append((aggregation, scores))
    return aggregated


def _collect(
    pools: Pools,
    strategy: Strategy,
    weights: Sequence[tuple[str, Floats] | None],
    spec: SelectSpec,
    draws: int,
) -> list[StrategyCredits]:
    """Credits of one selector, for each of `weights` (a step aggregation and its scores, or None)."""
    votes = strategy.selector in _VOTES
    budgets = (*spec.budgets, LIMIT) if votes else spec.budgets
    credit = np.zeros((len(weights), len(budgets), len(pools.problem_ids)))
    error = np.zeros_like(credit)
    ends = np.cumsum(pools.sizes)
    for column, (start, end) in enumerate(zip((ends - pools.sizes).tolist(), ends.tolist(), strict=True)):
        right = pools.correct[start:end]
        parts = [None if weight is None else weight[1][start:end] for weight in weights]
        if votes:
            ballots = [make_ballot(pools.answer_class[start:end], right, part) for part in parts]
            seed = derive_seed("select", spec.seed, pools.problem_ids[column])
            credit[:, :, column], error[:, :, column] = _vote(ballots, spec.budgets, draws, seed)
        else:
            for row, part in enumerate(parts):
                credit[row, :, column] = (
                    pass_at_k(right, budgets) if part is None else best_of_k(part, right, budgets)
                )
    return [
        StrategyCredits(
            strategy if weight is None else strategy._replace(step_aggregation=weight[0]), budgets, *values
        )
        for weight, *values in zip(weights, credit, error, strict=True)
    ]


def _vote(ballots: Sequence[Ballot], budgets: Sequence[int], draws: int, seed: int) -> tuple[Floats, Floats]:
    """Credit and standard error, [ballots, budgets and the limit]."""
    credit, error = vote_credits(ballots, budgets, draws, np.random.default_rng(seed))
    limit = np.array([[whole_pool_vote(ballot)] for ballot in ballots])
    return np.hstack([credit, limit]), np.hstack([error, np.zeros_like(limit)])


def _shares(tokens: Floats) -> Floats:
    """Each candidate's share of all tokens; equal shares where there are none."""
    total = float(tokens.sum())
    return tokens / total if total > 0 else np.full(tokens.size, 1.0 / tokens.size)


def _pool_means(values: Floats, sizes: Ints) -> Floats:
    """Mean over each problem's pool, summed in rising order: the same whatever the order of samples."""
    problem = np.repeat(np.arange(sizes.size), sizes)
    ranked = values[np.lexsort((values, problem))]
    means: Floats = np.add.reduceat(ranked, np.cumsum(sizes) - sizes) / sizes
    return means
