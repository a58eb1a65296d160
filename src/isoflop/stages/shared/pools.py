"""A pool of candidates as the stages that pick from it read it: its tables and ledgers, checked."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from isoflop.arrays import Bools, Floats, Ints
from isoflop.costs import ModelShape
from isoflop.errors import UserError
from isoflop.files import check_aligned, read_json, read_table
from isoflop.search.tree import STOP
from isoflop.selection.samples import Pools, StepScores, Usage
from isoflop.selection.voting import NO_ANSWER
from isoflop.tables import CANDIDATES, GRADES, PROBLEMS, SCORES


class _SampleLedger(BaseModel):
    """What sampling all candidates took."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    seconds: float | None = Field(default=None, ge=0.0, allow_inf_nan=False)
    generated_tokens: int = Field(ge=0)
    candidates: int = Field(ge=1)
    model: ModelShape


class _ScoreLedger(BaseModel):
    """What scoring all candidates took."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    seconds: float | None = Field(default=None, ge=0.0, allow_inf_nan=False)
    verifier_tokens: int = Field(ge=0)
    too_long: int = Field(ge=0, default=0)
    model: ModelShape


_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class ReadPool:
    """One generator's candidates on one data set, graded and scored.

    `problems`: those that have candidates. `prompt`: prompt tokens, `finished`: whether the model ended the
    solution itself, each [candidates]. `scores`, `verifiers`: by the verifiers' names, in their order.
    """

    problems: pa.Table
    pools: Pools
    prompt: Floats
    finished: Bools
    policy: Usage
    scores: dict[str, StepScores]
    verifiers: dict[str, Usage]


def read_pool(
    paths: Sequence[str],
    pairs: Sequence[str],
    *,
    verifiers: Sequence[str],
    outcome_verifiers: Sequence[str] = (),
    imported: bool = False,
) -> ReadPool:
    """Read and check everything about a pool.

    `paths`: problems, candidates, grades, ledger. `pairs`: score table and ledger of each verifier in turn.
    `imported`: problems without candidates are left out, as the replay's ledger counts them.
    Raises UserError naming the file and row of what does not fit.
    """
    problems_path, candidates_path, grades_path, ledger_path = paths
    problems = read_table(problems_path, PROBLEMS)
    candidates = read_table(candidates_path, CANDIDATES)
    if imported:
        problems = problems.filter(
            pc.is_in(problems["problem_id"], value_set=candidates["problem_id"].combine_chunks())
        )
    sizes = pool_sizes(problems, candidates, problems_path, candidates_path)
    grades = read_table(grades_path, GRADES)
    check_aligned(grades, grades_path, candidates, candidates_path)
    pools = Pools(
        problem_ids=problems["problem_id"].to_pylist(),
        sizes=sizes,
        answer_class=ints(grades, "answer_class"),
        correct=grades["correct"].to_numpy(),
    )
    _check_classes(pools, grades_path)
    policy = _policy_usage(ledger_path, candidates, candidates_path)
    scores: dict[str, StepScores] = {}
    read: dict[str, Usage] = {}
    for name, scores_path, ledger in zip(verifiers, pairs[::2], pairs[1::2], strict=True):
        table = read_table(scores_path, SCORES)
        check_aligned(table, scores_path, candidates, candidates_path)
        read[name], too_long = _verifier_usage(ledger, table, scores_path)
        scores[name] = step_scores(table, scores_path, candidates, name in outcome_verifiers, too_long)
    prompt = candidates["prompt_tokens"].to_numpy().astype(np.float64)
    finished = pc.equal(candidates["finish"], STOP).to_numpy()
    return ReadPool(problems, pools, prompt, finished, policy, scores, read)


def first_answers(pool: ReadPool, candidates_path: str) -> Bools:
    """Which candidates of chains are their first answers. Raises UserError where there are no chains."""
    first: Bools = read_table(candidates_path, CANDIDATES)["budget"].to_numpy() == 1
    if not np.add.reduceat(first, np.cumsum(pool.pools.sizes) - pool.pools.sizes).all():
        raise UserError(f"{candidates_path}: its candidates are no chains; delete it and run again")
    return first


def part_of(pool: ReadPool, rows: Bools) -> ReadPool:
    """The pool of some candidates, [candidates], at least one of each problem; seconds go by tokens."""

    def share(usage: Usage) -> Usage:
        taken = float(usage.tokens[rows].sum()) / max(float(usage.tokens.sum()), 1.0)
        return replace(usage, tokens=usage.tokens[rows], seconds=usage.seconds * taken)

    pools = pool.pools
    return replace(
        pool,
        pools=replace(
            pools,
            sizes=np.add.reduceat(rows.astype(np.int64), np.cumsum(pools.sizes) - pools.sizes),
            answer_class=pools.answer_class[rows],
            correct=pools.correct[rows],
        ),
        prompt=pool.prompt[rows],
        finished=pool.finished[rows],
        policy=share(pool.policy),
        scores={
            name: StepScores(steps.scores[np.repeat(rows, steps.counts)], steps.counts[rows])
            for name, steps in pool.scores.items()
        },
        verifiers={name: share(usage) for name, usage in pool.verifiers.items()},
    )


def ints(table: pa.Table, column: str) -> Ints:
    """A column as whole numbers, [rows]."""
    values: Ints = table[column].to_numpy().astype(np.int64)
    return values


def pool_sizes(problems: pa.Table, candidates: pa.Table, problems_path: str, path: str) -> Ints:
    """Candidates per problem, after checking that they come in the order of the problems, each once."""
    order = problems["problem_id"].to_pylist()
    if not order:
        raise UserError(f"{problems_path}: no problems; choose a data set or split with some")
    place = {problem: row for row, problem in enumerate(order)}
    if len(place) != len(order):
        double = next(problem for row, problem in enumerate(order) if place[problem] != row)
        raise UserError(
            f"{problems_path}: problem {double} is there twice; give problems distinct identifiers"
        )
    names, numbers = candidates["problem_id"].to_pylist(), candidates["candidate"].to_pylist()
    before = (-1, -1)
    for row, (name, number) in enumerate(zip(names, numbers, strict=True)):
        if name not in place:
            raise UserError(f"{path}: row {row}: problem {name} is not in {problems_path}; sample again")
        if (place[name], number) <= before:
            raise UserError(
                f"{path}: row {row}: candidate {number} of problem {name} is out of order or there twice; "
                "sample again"
            )
        before = (place[name], number)
    sizes = np.bincount([place[name] for name in names], minlength=len(order))
    if not sizes.all():
        raise UserError(f"{path}: problem {order[int(np.argmin(sizes))]} has no candidates; sample again")
    return sizes


def _check_classes(pools: Pools, path: str) -> None:
    """Right and wrong answers are not equivalent, and no answer is not right."""
    if pools.answer_class.min() < NO_ANSWER:
        row = int(np.argmin(pools.answer_class))
        raise UserError(
            f"{path}: row {row}: answer_class is below {NO_ANSWER}; delete the file and run again"
        )
    problem = np.repeat(np.arange(pools.sizes.size), pools.sizes)
    classes = problem * (int(pools.answer_class.max()) + 2) + pools.answer_class + 1
    _, first, member = np.unique(classes, return_index=True, return_inverse=True)
    mixed = pools.correct != pools.correct[first][member]
    mixed |= pools.correct & (pools.answer_class == NO_ANSWER)
    if mixed.any():
        row = int(np.argmax(mixed))
        raise UserError(
            f"{path}: row {row}: correct is {bool(pools.correct[row])}, which contradicts its answer_class "
            f"{pools.answer_class[row]} (one class is right or wrong as a whole, and -1 is wrong); "
            "delete the file and grade again"
        )


def _policy_usage(path: str, candidates: pa.Table, candidates_path: str) -> Usage:
    ledger = _read_ledger(_SampleLedger, path)
    tokens = candidates["tokens"].to_numpy().astype(np.float64)
    measured = (ledger.candidates, ledger.generated_tokens)
    if measured != (tokens.size, int(tokens.sum())):
        raise UserError(
            f"{path}: {measured[0]} candidates with {measured[1]} generated tokens, but {candidates_path} "
            f"has {tokens.size} with {int(tokens.sum())}; delete both and sample again"
        )
    return Usage(ledger.model, _seconds(ledger), tokens)


def _seconds(ledger: _SampleLedger | _ScoreLedger) -> float:
    """Not a number where nobody measured them, as for imported work."""
    return math.nan if ledger.seconds is None else ledger.seconds


def _verifier_usage(path: str, table: pa.Table, scores_path: str) -> tuple[Usage, int]:
    """What scoring took, and how many candidates were too long for it."""
    ledger = _read_ledger(_ScoreLedger, path)
    tokens = table["verifier_tokens"].to_numpy().astype(np.float64)
    if ledger.verifier_tokens != int(tokens.sum()):
        raise UserError(
            f"{path}: {ledger.verifier_tokens} verifier tokens, but {scores_path} has {int(tokens.sum())}; "
            "delete both and score again"
        )
    return Usage(ledger.model, _seconds(ledger), tokens), ledger.too_long


def step_scores(
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


def _read_ledger(model: type[_Model], path: str) -> _Model:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); run the stage that writes it") from error
    return read_json(model, text, path)
