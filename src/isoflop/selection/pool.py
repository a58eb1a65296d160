"""Pools of candidates: what is asked of one, and the ways of picking that a specification asks for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Protocol, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from isoflop.arrays import Bools, Floats, Ints
from isoflop.costs.shape import Terms
from isoflop.errors import UserError
from isoflop.registries import CostModelName, SelectorName, StepAggregationName
from isoflop.selection.aggregation import aggregate_steps
from isoflop.selection.registry import Selector, selector
from isoflop.strategy import NONE, Picking, needs_verifier

# Whose terms are the policy's: no verifier is called so.
POLICY = NONE


class SelectSpec(BaseModel):
    """All that decides the select stage's table, next to the tables it reads.

    Attributes
    ----------
    budgets
        Numbers of answers to pick from, rising.
    selectors, step_aggregations
        Names, in the order of the table.
    verifiers
        Names, in the order of the score tables on the command line.
    outcome_verifiers
        Those of them that score whole solutions, for which the only step aggregation is `last`.
    costs
        Cost models beyond those of every study.
    terms
        What they charge the policy (under POLICY) and verifiers by, by name.
    seed
        The experiment's.
    generator_kind
        For greedy, which has one candidate, budgets, selectors and step aggregations have no effect; of a
        published search, every budget has solutions of its own.
    length
        Of the chains of revisions that are picked from.
    halves
        The pool tells difficulty, so each of its halves is measured too, while the other tells.
    code
        Digest of the stage's import closure.
    plugins
        Digests of the files that define selectors, step aggregations and cost models of other packages, by
        name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    budgets: tuple[int, ...] = (1,)
    selectors: tuple[SelectorName, ...] = ()
    step_aggregations: tuple[StepAggregationName, ...] = ()
    verifiers: tuple[str, ...] = ()
    outcome_verifiers: tuple[str, ...] = ()
    costs: tuple[CostModelName, ...] = ()
    terms: Mapping[str, Terms] = Field(default_factory=dict)
    seed: int
    generator_kind: Literal["greedy", "sampling", "import", "search", "published_search", "revisions"]
    length: int | None = None
    halves: bool = False
    code: str
    plugins: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if not self.budgets or self.budgets[0] < 1 or any(a >= b for a, b in pairwise(self.budgets)):
            raise ValueError(f"budgets: {self.budgets} must start at 1 or above and rise")
        for key in ("selectors", "step_aggregations", "verifiers", "costs"):
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
            verified = [selector for selector in self.selectors if needs_verifier(selector)]
            if not self.selectors:
                raise ValueError("selectors: name at least one")
            if verified and not (self.verifiers and self.step_aggregations):
                raise ValueError(f"selectors: {verified[0]} needs verifiers and step_aggregations")
        return self

    def aggregations(self, verifier: str) -> tuple[str, ...]:
        """How a verifier's step scores become a solution's score.

        Parameters
        ----------
        verifier
            Its name.
        """
        return ("last",) if verifier in self.outcome_verifiers else self.step_aggregations


@dataclass(frozen=True)
class Candidates:
    """The graded candidates of all problems, problem by problem.

    Attributes
    ----------
    problem_ids
        [problems].
    sizes
        Candidates per problem, [problems].
    answer_class
        Numbers of equivalent answers of a problem, `NO_ANSWER` where there is none, [candidates].
    correct
        [candidates].
    confidence
        Mean log-probability of a candidate's tokens, [candidates], nan where it has none; None where no
        selector reads it.
    """

    problem_ids: Sequence[str]
    sizes: Ints
    answer_class: Ints
    correct: Bools
    confidence: Floats | None = None


@dataclass(frozen=True)
class StepScores:
    """One verifier's scores of all candidates.

    Attributes
    ----------
    scores
        Flat, [scores of all candidates].
    counts
        Scores per candidate, [candidates]; a candidate with none was too long for the verifier.
    """

    scores: Floats
    counts: Ints


@dataclass(frozen=True)
class PickingCredits:
    """Expected credit of one way of picking.

    Attributes
    ----------
    picking
        Verifier, selector and step aggregation.
    budgets
        `LIMIT` is last where the limit k -> infinity is estimated.
    credit, standard_error
        [budgets, problems]; the error is 0 where the credit is exact.
    limit_bounds
        What the credit of the limit may be between, for all the pool says, [2, problems]; None without limit.
    """

    picking: Picking
    budgets: tuple[int, ...]
    credit: Floats
    standard_error: Floats
    limit_bounds: Floats | None = None


class Pool(Protocol):
    """All candidates of one generator on one data set, whatever it is: samples, searches or chains."""

    def credits(self, spec: SelectSpec) -> list[PickingCredits]:
        """Credits of every way of picking that is asked for, each [budgets, problems].

        Parameters
        ----------
        spec
            What is asked for.

        Raises
        ------
        UserError
            For budgets that the pool is too small for, and for scores that cannot be aggregated or vote.
        """
        ...

    def costs(self, budgets: Sequence[int], verifier: str, asked: Sequence[str] = ()) -> dict[str, Floats]:
        """Expected costs.

        Parameters
        ----------
        budgets
            Numbers of answers.
        verifier
            Its name; "none" where none is used.
        asked
            Cost models beyond those of every study.

        Returns
        -------
        By column, [budgets, problems].
        """
        ...


@dataclass(frozen=True)
class Group:
    """Ways of picking that share a selector and a verifier, and with them every random draw.

    Attributes
    ----------
    selector
        What they share.
    pickings
        The ways of picking, which differ in the step aggregation.
    weights
        What the selector reads, by picking: [candidates], nan where there is none, or None.
    """

    selector: Selector
    pickings: tuple[Picking, ...]
    weights: tuple[Floats | None, ...]


def groups(candidates: Candidates, scores: Mapping[str, StepScores], spec: SelectSpec) -> Iterator[Group]:
    """All ways of picking that are asked for.

    Parameters
    ----------
    candidates
        Of all problems.
    scores
        Of every verifier, by its name.
    spec
        What is asked for.

    Yields
    ------
    Without a verifier first, in the order of `spec.selectors`; then by verifier, selector, step aggregation.

    Raises
    ------
    UserError
        For scores that cannot be aggregated or vote, and missing log-probabilities.
    """
    selectors = [selector(name) for name in spec.selectors]
    for chosen in selectors:
        if not chosen.needs_verifier:
            weights = chosen.weights(_confidence(candidates, chosen)) if chosen.needs_logprob else None
            yield Group(chosen, (Picking(NONE, chosen.name, NONE),), (weights,))
    for verifier in spec.verifiers:
        by_aggregation = _scores_by_aggregation(candidates.sizes, scores[verifier], verifier, spec)
        for chosen in selectors:
            if chosen.needs_verifier:
                weighed = {name: chosen.weights(values) for name, values in by_aggregation.items()}
                if chosen.votes:
                    _check_weights(weighed.values(), verifier, chosen.name)
                pickings = tuple(Picking(verifier, chosen.name, name) for name in weighed)
                yield Group(chosen, pickings, tuple(weighed.values()))


def _confidence(candidates: Candidates, reader: Selector) -> Floats:
    if candidates.confidence is None:
        raise UserError(
            f"selector {reader.name}: these candidates have no log-probabilities; leave the selector out"
        )
    return candidates.confidence


def _scores_by_aggregation(
    sizes: Ints, steps: StepScores, verifier: str, spec: SelectSpec
) -> dict[str, Floats]:
    """Every step aggregation of one verifier's scores, each [candidates]; nan where there is none."""
    try:
        return {name: solution_scores(sizes, steps, name) for name in spec.aggregations(verifier)}
    except UserError as error:
        raise UserError(f"scores of verifier {verifier}: {error}") from error


def _check_weights(weights: Iterable[Floats], verifier: str, name: str) -> None:
    for values in weights:
        if np.any(values < 0):
            row = int(np.argmax(values < 0))
            raise UserError(
                f"scores of verifier {verifier}: candidate row {row} has the score {values[row]:g}, which "
                f"cannot be the weight of a vote; use scores of at least 0 or leave out the selector {name}"
            )


def solution_scores(sizes: Ints, steps: StepScores, aggregation: str) -> Floats:
    """One score per candidate, by one verifier.

    Parameters
    ----------
    sizes
        Candidates per problem, [problems].
    steps
        The verifier's scores of their steps.
    aggregation
        The name of a step aggregation.

    Returns
    -------
    Scores, [candidates]; nan where there is none.

    Raises
    ------
    UserError
        For scores that cannot be aggregated.
    """
    scored = steps.counts > 0
    problem = np.repeat(np.arange(sizes.size), sizes)
    kept = np.bincount(problem[scored], minlength=sizes.size)
    scores = np.full(steps.counts.size, np.nan)
    scores[scored] = aggregate_steps(steps.scores, steps.counts[scored], kept, aggregation)
    return scores
