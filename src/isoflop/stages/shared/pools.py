"""A pool of candidates as the stages that pick from it read it: its tables and ledgers, checked.

Measured times are read from beside the ledgers, and beside the table of a search's usage.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from isoflop.arrays import Bools, Floats, Ints
from isoflop.costs.shape import ModelShape, Terms
from isoflop.costs.work import Party, Usage
from isoflop.errors import UserError
from isoflop.files import check_aligned, read_ledger_as, read_table, table_metadata
from isoflop.growth.measured import read_times
from isoflop.search.tree import STOP
from isoflop.selection.chains import arrange_chains
from isoflop.selection.pool import POLICY, Candidates, StepScores
from isoflop.selection.samples import SamplePool
from isoflop.selection.trees import TreePool, arranged
from isoflop.strategy import NO_ANSWER
from isoflop.tables import CANDIDATES, GRADES, PROBLEMS, SCORES, USAGE

_SEARCH_KEY = ("problem_id", "budget", "run")


class _SampleLedger(BaseModel):
    """What sampling all candidates took."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    generated_tokens: int = Field(ge=0)
    candidates: int = Field(ge=1)
    model: ModelShape | None


class _ScoreLedger(BaseModel):
    """What scoring all candidates took."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    verifier_tokens: int = Field(ge=0)
    too_long: int = Field(ge=0, default=0)
    model: ModelShape | None


@dataclass(frozen=True)
class ReadSamples:
    """One generator's candidates on one data set, graded and scored.

    `problems`: those that have candidates. `finished`: whether the model ended the solution itself,
    [candidates].
    """

    problems: pa.Table
    pool: SamplePool
    finished: Bools


@dataclass(frozen=True)
class ReadSearches:
    """One tree search on one data set at all budgets, graded."""

    problems: pa.Table
    pool: TreePool


def read_samples(
    paths: Sequence[str],
    pairs: Sequence[str],
    *,
    verifiers: Sequence[str],
    outcome_verifiers: Sequence[str] = (),
    imported: bool = False,
    logprobs: bool = False,
    terms: Mapping[str, Terms] | None = None,
) -> ReadSamples:
    """Read and check everything about a pool of samples, or of the answers of chains.

    `paths`: problems, candidates, grades, ledger. `pairs`: score table and ledger of each verifier in turn.
    `imported`: problems without candidates are left out, as the replay's ledger counts them. `logprobs`:
    whether a selector reads them. `terms`: what costs charge by, as SelectSpec has it.
    Raises UserError naming the file and row of what does not fit.
    """
    problems_path, candidates_path, grades_path, ledger_path = paths
    problems = read_table(problems_path, PROBLEMS)
    candidates = read_table(candidates_path, CANDIDATES)
    if imported:
        problems = problems.filter(
            pc.is_in(problems["problem_id"], value_set=candidates["problem_id"].combine_chunks())
        )
    sizes = _pool_sizes(problems, candidates, problems_path, candidates_path)
    grades = read_table(grades_path, GRADES)
    check_aligned(grades, grades_path, candidates, candidates_path)
    graded = Candidates(
        problem_ids=problems["problem_id"].to_pylist(),
        sizes=sizes,
        answer_class=_ints(grades, "answer_class"),
        correct=grades["correct"].to_numpy(),
        confidence=_mean_logprobs(candidates, candidates_path) if logprobs else None,
    )
    _check_classes(graded, grades_path)
    terms = terms or {}
    policy = _policy_usage(ledger_path, candidates, candidates_path, terms.get(POLICY, Terms()))
    scores: dict[str, StepScores] = {}
    read: dict[str, Usage] = {}
    for name, scores_path, ledger in zip(verifiers, pairs[::2], pairs[1::2], strict=True):
        table = read_table(scores_path, SCORES)
        check_aligned(table, scores_path, candidates, candidates_path)
        read[name], too_long = _verifier_usage(ledger, table, scores_path, terms.get(name, Terms()))
        scores[name] = _step_scores(table, scores_path, candidates, name in outcome_verifiers, too_long)
    prompt = candidates["prompt_tokens"].to_numpy().astype(np.float64)
    finished = pc.equal(candidates["finish"], STOP).to_numpy()
    return ReadSamples(problems, SamplePool(graded, scores, prompt, policy, read), finished)


def read_searches(
    paths: Sequence[str],
    *,
    budgets: tuple[int, ...],
    verifier: str,
    logprobs: bool = False,
    terms: Mapping[str, Terms] | None = None,
) -> ReadSearches:
    """Read and check everything about the searches of one generator on one data set.

    `paths`: problems, candidates, grades, usage, scores. `budgets`: of the searches; `verifier`: what guided
    them. `logprobs`: whether a selector reads them. `terms`: as for samples. Raises UserError naming the file
    and row of what does not fit.
    """
    problems_path, candidates_path, grades_path, usage_path, scores_path = paths
    problems = read_table(problems_path, PROBLEMS)
    candidates = read_table(candidates_path, CANDIDATES)
    _pool_sizes(problems, candidates, problems_path, candidates_path)
    grades, scores = read_table(grades_path, GRADES), read_table(scores_path, SCORES)
    usage = read_table(usage_path, USAGE)
    check_aligned(grades, grades_path, candidates, candidates_path)
    check_aligned(scores, scores_path, candidates, candidates_path)
    ids = problems["problem_id"].to_pylist()
    of_usage, runs = arranged(_search_keys(usage), ids, budgets, usage_path)
    of_candidates, _ = arranged(_search_keys(candidates), ids, budgets, candidates_path)
    if np.any(np.diff(of_candidates) < 0):
        raise UserError(f"{candidates_path}: solutions are not in the order of their searches; run again")
    order, shape = np.argsort(of_usage), (len(ids), len(budgets), runs)
    counts = {
        column: usage[column].to_numpy().astype(np.float64)[order].reshape(shape)
        for column in USAGE.names
        if column not in _SEARCH_KEY
    }
    models, terms = table_metadata(usage), terms or {}
    pool = TreePool(
        Candidates(
            problem_ids=ids,
            sizes=np.bincount(of_candidates, minlength=len(ids) * len(budgets) * runs),
            answer_class=_ints(grades, "answer_class"),
            correct=grades["correct"].to_numpy(),
            confidence=_mean_logprobs(candidates, candidates_path) if logprobs else None,
        ),
        scores={verifier: _step_scores(scores, scores_path, candidates)},
        finished=pc.equal(candidates["finish"], STOP).to_numpy(),
        budgets=budgets,
        runs=runs,
        usage=counts | {"seconds": _search_seconds(usage_path, budgets, counts["generated"])},
        policy=Party(ModelShape.model_validate(models["model"]), terms.get(POLICY, Terms())),
        verifier=Party(ModelShape.model_validate(models["verifier"]), terms.get(verifier, Terms())),
    )
    return ReadSearches(problems, pool)


def _search_seconds(path: str, budgets: Sequence[int], generated: Floats) -> Floats:
    """Measured seconds of every search, those of a budget shared by generated tokens.

    Both are [problems, budgets, runs].
    """
    by_budget = read_times(path).by_budget
    taken = np.array([by_budget.get(str(budget), math.nan) for budget in budgets])
    return np.moveaxis(taken[:, None, None] * _shares(np.moveaxis(generated, 1, 0)), 0, 1)


def _shares(tokens: Floats) -> Floats:
    """Each entry's share of the tokens of its row, the last two axes; equal shares where there are none."""
    total = tokens.sum(axis=(1, 2), keepdims=True)
    shares: Floats = np.where(total > 0, tokens / np.maximum(total, 1.0), 1.0 / tokens[0].size)
    return shares


def read_searched(path: str) -> list[tuple[str, int, int]]:
    """Problem, budget and run of every imported solution of a published search."""
    return _search_keys(read_table(path, CANDIDATES))


def _search_keys(table: pa.Table) -> list[tuple[str, int, int]]:
    """Problem, budget and run of every row."""
    return list(zip(*(table[name].to_pylist() for name in _SEARCH_KEY), strict=True))


def _mean_logprobs(candidates: pa.Table, path: str) -> Floats:
    """Mean log-probability of each candidate's generated tokens, [candidates]; nan where it has no token."""
    logprobs = candidates["logprob"].to_numpy(zero_copy_only=False).astype(np.float64)
    wrong = ~np.isfinite(logprobs)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise UserError(
            f"{path}: row {row} (problem {candidates['problem_id'][row]}, candidate "
            f"{candidates['candidate'][row]}): has no finite logprob, which a selector by confidence reads; "
            "leave that selector out, or sample the candidates instead of importing them"
        )
    tokens = candidates["tokens"].to_numpy().astype(np.float64)
    return np.where(tokens > 0, logprobs / np.maximum(tokens, 1.0), np.nan)


def read_chain_rows(candidates: Candidates, path: str, length: int) -> Ints:
    """The rows of the chains of `length` answers among the candidates, [problems, P, length].

    Raises UserError where the candidates are no chains of as many.
    """
    table = read_table(path, CANDIDATES).select(["run", "budget"]).to_pydict()
    return arrange_chains(candidates.problem_ids, candidates.sizes, table["run"], table["budget"], length)


def first_answers(candidates: Candidates, candidates_path: str) -> Bools:
    """Which candidates of chains are their first answers. Raises UserError where there are no chains."""
    first: Bools = read_table(candidates_path, CANDIDATES)["budget"].to_numpy() == 1
    if not np.add.reduceat(first, np.cumsum(candidates.sizes) - candidates.sizes).all():
        raise UserError(f"{candidates_path}: its candidates are no chains; delete it and run again")
    return first


def _ints(table: pa.Table, column: str) -> Ints:
    """A column as whole numbers, [rows]."""
    values: Ints = table[column].to_numpy().astype(np.int64)
    return values


def _pool_sizes(problems: pa.Table, candidates: pa.Table, problems_path: str, path: str) -> Ints:
    """Candidates per problem, after checking that they come in the order of the problems, each once."""
    order = problems["problem_id"].to_pylist()
    if not order:
        raise UserError(f"{problems_path}: no problems; choose a data set or split with some")
    position = {problem: row for row, problem in enumerate(order)}
    if len(position) != len(order):
        double = next(problem for row, problem in enumerate(order) if position[problem] != row)
        raise UserError(
            f"{problems_path}: problem {double} is there twice; give problems distinct identifiers"
        )
    names, numbers = candidates["problem_id"].to_pylist(), candidates["candidate"].to_pylist()
    before = (-1, -1)
    for row, (name, number) in enumerate(zip(names, numbers, strict=True)):
        if name not in position:
            raise UserError(f"{path}: row {row}: problem {name} is not in {problems_path}; sample again")
        if (position[name], number) <= before:
            raise UserError(
                f"{path}: row {row}: candidate {number} of problem {name} is out of order or there twice; "
                "sample again"
            )
        before = (position[name], number)
    sizes = np.bincount([position[name] for name in names], minlength=len(order))
    if not sizes.all():
        raise UserError(f"{path}: problem {order[int(np.argmin(sizes))]} has no candidates; sample again")
    return sizes


def _check_classes(candidates: Candidates, path: str) -> None:
    """Right and wrong answers are not equivalent, and no answer is not right."""
    if candidates.answer_class.min() < NO_ANSWER:
        row = int(np.argmin(candidates.answer_class))
        raise UserError(
            f"{path}: row {row}: answer_class is below {NO_ANSWER}; delete the file and run again"
        )
    problem = np.repeat(np.arange(candidates.sizes.size), candidates.sizes)
    classes = problem * (int(candidates.answer_class.max()) + 2) + candidates.answer_class + 1
    _, first, member = np.unique(classes, return_index=True, return_inverse=True)
    mixed = candidates.correct != candidates.correct[first][member]
    mixed |= candidates.correct & (candidates.answer_class == NO_ANSWER)
    if mixed.any():
        row = int(np.argmax(mixed))
        raise UserError(
            f"{path}: row {row}: correct is {bool(candidates.correct[row])}, which contradicts its "
            f"answer_class {candidates.answer_class[row]} (one class is right or wrong as a "
            "whole, and -1 is wrong); delete the file and grade again"
        )


def _policy_usage(path: str, candidates: pa.Table, candidates_path: str, terms: Terms) -> Usage:
    ledger = read_ledger_as(_SampleLedger, path)
    tokens = candidates["tokens"].to_numpy().astype(np.float64)
    measured = (ledger.candidates, ledger.generated_tokens)
    if measured != (tokens.size, int(tokens.sum())):
        raise UserError(
            f"{path}: {measured[0]} candidates with {measured[1]} generated tokens, but {candidates_path} "
            f"has {tokens.size} with {int(tokens.sum())}; delete both and sample again"
        )
    return Usage(ledger.model, _seconds(path), tokens, terms)


def _seconds(ledger: str) -> float:
    """Not a number where nobody measured them, as for imported work."""
    seconds = read_times(ledger).seconds
    return math.nan if seconds is None else seconds


def _verifier_usage(path: str, table: pa.Table, scores_path: str, terms: Terms) -> tuple[Usage, int]:
    """What scoring took, and how many candidates were too long for it."""
    ledger = read_ledger_as(_ScoreLedger, path)
    tokens = table["verifier_tokens"].to_numpy().astype(np.float64)
    if ledger.verifier_tokens != int(tokens.sum()):
        raise UserError(
            f"{path}: {ledger.verifier_tokens} verifier tokens, but {scores_path} has {int(tokens.sum())}; "
            "delete both and score again"
        )
    return Usage(ledger.model, _seconds(path), tokens, terms), ledger.too_long


def _step_scores(
    table: pa.Table, path: str, candidates: pa.Table, outcome: bool = False, too_long: int = 0
) -> StepScores:
    """The flat scores, all finite; every candidate has one per step, or one in all for an outcome verifier.

    None only where it was too long, as often as the ledger says.
    """
    counts = pc.list_value_length(table["step_scores"]).to_numpy().astype(np.int64)
    steps = pc.list_value_length(candidates["steps"]).to_numpy().astype(np.int64)
    expected = np.ones_like(steps) if outcome else steps
    wrong = (counts != expected) | (counts == 0)
    if int(np.count_nonzero(counts == 0)) == too_long:
        wrong &= counts > 0
    if np.any(wrong):
        row = int(np.argmax(wrong))
        raise UserError(
            f"{path}: row {row} (problem {table['problem_id'][row]}, candidate {table['candidate'][row]}): "
            f"{counts[row]} step scores for {expected[row]} steps; every candidate needs a step and every "
            "step a score: delete the file and score again"
        )
    scores = pc.list_flatten(table["step_scores"]).to_numpy(zero_copy_only=False).astype(np.float64)
    if not np.all(np.isfinite(scores)):
        row = int(np.searchsorted(np.cumsum(counts), int(np.argmin(np.isfinite(scores))), side="right"))
        raise UserError(
            f"{path}: row {row} (problem {table['problem_id'][row]}, candidate {table['candidate'][row]}): "
            "a step score is missing or not finite; delete the file and score again"
        )
    return StepScores(scores, counts)
