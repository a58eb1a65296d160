"""Expected correctness and cost of every selector, step aggregation and budget on every problem.

Run by hand:

    python -m isoflop.stages.select SPEC PROBLEMS CANDIDATES GRADES LEDGER [SCORES LEDGER]... OUTPUT

with SPEC the JSON of `isoflop.selection.SelectSpec` and one pair of score table and ledger for each verifier
it names, in that order. OUTPUT has the columns of `isoflop.tables.CREDITS`; its metadata has the shapes of
the policy and the verifiers, and how exact the estimates are.
"""

import math
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from isoflop.costs import ModelShape
from isoflop.errors import UserError
from isoflop.search_selection import Searches, arranged, search_costs, search_credits
from isoflop.search_tree import STOP
from isoflop.selection import (
    Pools,
    SelectSpec,
    StepScores,
    StrategyCredits,
    Usage,
    expected_costs,
    select_credits,
)
from isoflop.stages.common import read_json, read_spec, read_table, run_stage, table_metadata, write_table
from isoflop.tables import CANDIDATES, CREDITS, GRADES, PROBLEMS, SCORES, USAGE
from isoflop.voting import NO_ANSWER, draws_needed

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_USAGE = (
    "usage: python -m isoflop.stages.select SPEC PROBLEMS CANDIDATES GRADES LEDGER [SCORES LEDGER]... OUTPUT"
)
_ALONE = 6


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


def main(arguments: Sequence[str]) -> None:
    """Read and check the tables and write the credits; raises UserError on bad input."""
    if len(arguments) < _ALONE or len(arguments) % 2:
        raise UserError(_USAGE)
    spec = read_spec(SelectSpec, arguments[0], "select")
    problems_path, candidates_path, grades_path, ledger_path = arguments[1:5]
    pairs, output = arguments[5:-1], arguments[-1]
    if len(pairs) != 2 * len(spec.verifiers):
        raise UserError(
            f"verifiers: the specification names {len(spec.verifiers)}, but {len(pairs) // 2} pairs of score "
            "table and ledger are given"
        )
    problems = read_table(problems_path, PROBLEMS)
    candidates = read_table(candidates_path, CANDIDATES)
    if spec.generator_kind == "search":
        _select_from_searches(spec, problems, candidates, arguments)
        return
    if spec.generator_kind == "import":
        # Those left out for too few solutions have none here; the replay's ledger counts them.
        problems = problems.filter(
            pc.is_in(problems["problem_id"], value_set=candidates["problem_id"].combine_chunks())
        )
    sizes = _pool_sizes(problems, candidates, problems_path, candidates_path)
    grades = read_table(grades_path, GRADES)
    _check_aligned(grades, grades_path, candidates, candidates_path)
    pools = Pools(
        problem_ids=problems["problem_id"].to_pylist(),
        sizes=sizes,
        answer_class=_ints(grades, "answer_class"),
        correct=grades["correct"].to_numpy(),
    )
    _check_classes(pools, grades_path)
    policy = _policy_usage(ledger_path, candidates, candidates_path)
    scores: dict[str, StepScores] = {}
    verifiers: dict[str, Usage] = {}
    for name, scores_path, ledger in zip(spec.verifiers, pairs[::2], pairs[1::2], strict=True):
        table = read_table(scores_path, SCORES)
        _check_aligned(table, scores_path, candidates, candidates_path)
        verifiers[name], too_long = _verifier_usage(ledger, table, scores_path)
        outcome = name in spec.outcome_verifiers
        scores[name] = _step_scores(table, scores_path, candidates, outcome, too_long)
    credits = select_credits(pools, scores, spec)
    prompt = candidates["prompt_tokens"].to_numpy().astype(np.float64)

    @cache
    def costs(verifier: str, budgets: tuple[int, ...]) -> dict[str, Floats]:
        return expected_costs(budgets, sizes, prompt, policy, verifiers.get(verifier))

    columns = _columns(credits, problems, costs)
    largest = max(float(np.sqrt((row.standard_error**2).sum(axis=1)).max()) for row in credits) / sizes.size
    metadata: dict[str, object] = {
        "policy": policy.model.model_dump(),
        "verifiers": {name: usage.model.model_dump() for name, usage in verifiers.items()},
        "monte_carlo": {
            "seed": spec.seed,
            "draws_per_problem": draws_needed(sizes.size),
            "share_of_credits_sampled": float(np.mean(np.array(columns["standard_error"]) != 0)),
            "largest_standard_error_of_accuracy": largest,
        },
    }
    write_table(output, columns, CREDITS, metadata)
    print(
        f"{len(credits)} strategies on {sizes.size} problems, {int(sizes.sum())} candidates; "
        f"largest Monte Carlo standard error of an accuracy: {largest:.2g}",
        file=sys.stderr,
    )


def _select_from_searches(
    spec: SelectSpec, problems: pa.Table, candidates: pa.Table, arguments: Sequence[str]
) -> None:
    """What `main` does where the candidates are those of searches: the ledger is the table of their usage."""
    candidates_path, grades_path, usage_path, scores_path = (*arguments[2:5], arguments[5])
    _pool_sizes(problems, candidates, arguments[1], candidates_path)
    grades, table = read_table(grades_path, GRADES), read_table(scores_path, SCORES)
    usage = read_table(usage_path, USAGE)
    _check_aligned(grades, grades_path, candidates, candidates_path)
    _check_aligned(table, scores_path, candidates, candidates_path)
    ids = problems["problem_id"].to_pylist()
    shape = (len(ids), len(spec.budgets), -1)
    of_usage, runs = arranged(_keys(usage), ids, spec.budgets, usage_path)
    of_candidates, _ = arranged(_keys(candidates), ids, spec.budgets, candidates_path)
    if np.any(np.diff(of_candidates) < 0):
        raise UserError(f"{candidates_path}: solutions are not in the order of their searches; run again")
    pools = Pools(
        problem_ids=ids,
        sizes=np.bincount(of_candidates, minlength=len(ids) * len(spec.budgets) * runs),
        answer_class=_ints(grades, "answer_class"),
        correct=grades["correct"].to_numpy(),
    )
    finished = pc.equal(candidates["finish"], STOP).to_numpy()
    name = spec.verifiers[0]
    steps = {name: _step_scores(table, scores_path, candidates)}
    credits = search_credits(Searches(pools, spec.budgets, runs, finished), steps, spec)
    order = np.argsort(of_usage)
    used = {
        column: usage[column].to_numpy().astype(np.float64)[order].reshape(shape)
        for column in USAGE.names
        if column not in {"problem_id", "budget", "run"}
    }
    models = table_metadata(usage)
    policy, verifier = (ModelShape.model_validate(models[role]) for role in ("model", "verifier"))
    costs = search_costs(used, policy, verifier)
    metadata: dict[str, object] = {
        "policy": policy.model_dump(),
        "verifiers": {name: verifier.model_dump()},
        "runs": runs,
        "unfinished": int(np.count_nonzero(~finished)),
        "nominal_samples": {
            str(budget): float(used["nominal_samples"][:, place].mean())
            for place, budget in enumerate(spec.budgets)
        },
    }
    write_table(arguments[-1], _columns(credits, problems, lambda *_: costs), CREDITS, metadata)
    print(
        f"{len(credits)} strategies on {len(ids)} problems, {runs} runs at {len(spec.budgets)} budgets; "
        f"{int(np.count_nonzero(~finished))} of {finished.size} solutions unfinished",
        file=sys.stderr,
    )


def _keys(table: pa.Table) -> list[tuple[str, int, int]]:
    """Problem, budget and run of every row."""
    return list(zip(*(table[name].to_pylist() for name in ("problem_id", "budget", "run")), strict=True))


def _read_ledger(model: type[_Model], path: str) -> _Model:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); run the stage that writes it") from error
    return read_json(model, text, path)


def _ints(table: pa.Table, column: str) -> Ints:
    values: Ints = table[column].to_numpy().astype(np.int64)
    return values


def _pool_sizes(problems: pa.Table, candidates: pa.Table, problems_path: str, path: str) -> Ints:
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


def _check_aligned(table: pa.Table, path: str, candidates: pa.Table, candidates_path: str) -> None:
    if table.num_rows != candidates.num_rows:
        raise UserError(
            f"{path}: {table.num_rows} rows, but {candidates_path} has {candidates.num_rows}; "
            "delete the file and run again"
        )
    for column in ("problem_id", "candidate"):
        same = pc.equal(table[column], candidates[column]).to_numpy()
        if not same.all():
            row = int(np.argmin(same))
            raise UserError(
                f"{path}: row {row}: {column} is {table[column][row]}, but {candidates[column][row]} in "
                f"{candidates_path}; delete the file and run again"
            )


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


def _columns(
    credits: Sequence[StrategyCredits],
    problems: pa.Table,
    costs_of: Callable[[str, tuple[int, ...]], dict[str, Floats]],
) -> dict[str, list[object]]:
    """The columns of CREDITS: by strategy, then budget, then problem."""
    columns: dict[str, list[object]] = {name: [] for name in CREDITS.names}
    count = len(problems)
    for row in credits:
        for name in ("problem_id", "level"):
            columns[name] += problems[name].to_pylist() * len(row.budgets)
        for name, value in row.strategy._asdict().items():
            columns[name] += [value] * (count * len(row.budgets))
        columns["budget"] += np.repeat(row.budgets, count).tolist()
        columns["credit"] += row.credit.ravel().tolist()
        columns["standard_error"] += row.standard_error.ravel().tolist()
        for name, bounds in zip(("limit_low", "limit_high"), _limit_bounds(row), strict=True):
            columns[name] += [*[None] * (row.credit.size - len(bounds)), *bounds]
        for name, values in costs_of(row.strategy.verifier, row.budgets).items():
            columns[name] += values.ravel().tolist()
    return columns


def _limit_bounds(row: StrategyCredits) -> tuple[list[float], list[float]]:
    """Low and high of the limit, whose rows come last."""
    if row.limit_bounds is None:
        return [], []
    low, high = row.limit_bounds
    return low.tolist(), high.tolist()


if __name__ == "__main__":
    run_stage(main)
