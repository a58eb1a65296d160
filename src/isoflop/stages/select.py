"""Expected correctness and cost of every selector, step aggregation and budget on every problem.

SPEC is the JSON of `isoflop.selection.samples.SelectSpec`; there is one pair of score table and ledger for
each verifier it names, in that order. OUT has the columns of `isoflop.tables.CREDITS`; its metadata has the
shapes of the policy and the verifiers, and how exact the estimates are.
"""

import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isoflop.allocation.halves import HALVES, WHOLE, halved, halved_chains
from isoflop.arrays import Bools, Floats, Ints
from isoflop.costs import ModelShape
from isoflop.errors import UserError, run_main
from isoflop.files import check_aligned, read_table, table_metadata, write_table
from isoflop.search.tree import STOP
from isoflop.seeds import derive_seed
from isoflop.selection.chains import ChainPool, arrange_chains, revision_costs, revision_credits
from isoflop.selection.samples import (
    Pools,
    SelectSpec,
    StrategyCredits,
    expected_costs,
    select_credits,
)
from isoflop.selection.trees import Searches, arranged, search_costs, search_credits
from isoflop.selection.voting import NO_ANSWER, draws_needed
from isoflop.stages.shared.command import File, StageCommand
from isoflop.stages.shared.pools import (
    ReadPool,
    first_answers,
    ints,
    part_of,
    pool_sizes,
    read_pool,
    step_scores,
)
from isoflop.tables import CANDIDATES, CREDITS, GRADES, PROBLEMS, SCORES, USAGE

_COMMAND = StageCommand(
    "select",
    __doc__,
    File("problems", "table of problems"),
    File("candidates", "table of candidates"),
    File("grades", "table of their grades"),
    File("ledger", "what sampling took; of a search, the table of its usage"),
    File("scores", "each verifier's scores and its ledger, in turn", many="*", shown="SCORES LEDGER"),
    File("out", "table of credits to write"),
)


def main(arguments: Sequence[str]) -> None:
    """Read and check the tables and write the credits; raises UserError on bad input."""
    given = _COMMAND.read(SelectSpec, arguments)
    spec, files = given.spec, given.files
    if len(files.scores) % 2:
        raise _COMMAND.fault("every score table comes with its ledger")
    if len(files.scores) != 2 * len(spec.verifiers):
        raise UserError(
            f"verifiers: the specification names {len(spec.verifiers)}, but {len(files.scores) // 2} pairs "
            "of score table and ledger are given"
        )
    if spec.generator_kind == "search":
        _select_from_searches(spec, files)
        return
    pool = read_pool(
        (files.problems, files.candidates, files.grades, files.ledger),
        files.scores,
        verifiers=spec.verifiers,
        outcome_verifiers=spec.outcome_verifiers,
        imported=spec.generator_kind == "import",
    )
    sizes = pool.pools.sizes
    first = None if spec.length is None else first_answers(pool, files.candidates)
    rows = None if spec.length is None else _chains(pool.pools, files.candidates, spec.length)
    credits = _credits(pool, rows, spec)
    columns = _columns(credits, pool.problems, _costs(pool, rows), WHOLE)
    if spec.halves:
        for half in HALVES:
            for name, values in _half_columns(pool, rows, halved(sizes, half, first), half, spec).items():
                columns[name] += values
    largest = max(float(np.sqrt((row.standard_error**2).sum(axis=1)).max()) for row in credits) / sizes.size
    errors = np.concatenate([row.standard_error.ravel() for row in credits])
    picked = np.arange(sizes.sum()) if rows is None else rows.ravel()
    metadata: dict[str, object] = {
        "policy": pool.policy.model.model_dump(),
        "verifiers": {name: usage.model.model_dump() for name, usage in pool.verifiers.items()},
        **_counts(pool.pools.answer_class[picked], pool.finished[picked]),
        "monte_carlo": {
            "seed": spec.seed,
            "draws_per_problem": draws_needed(sizes.size),
            "share_of_credits_sampled": float(np.mean(errors != 0)),
            "largest_standard_error_of_accuracy": largest,
        },
    }
    write_table(files.out, columns, CREDITS, metadata)
    print(
        f"{len(credits)} strategies on {sizes.size} problems, {int(sizes.sum())} candidates; "
        f"largest Monte Carlo standard error of an accuracy: {largest:.2g}",
        file=sys.stderr,
    )


def _counts(answer_class: Ints, finished: Bools) -> dict[str, object]:
    """How many candidates there are, how many have no answer that was recognised, how many did not end."""
    return {
        "candidates": int(answer_class.size),
        "unanswered": int(np.count_nonzero(answer_class == NO_ANSWER)),
        "unfinished": int(np.count_nonzero(~finished)),
    }


def _credits(pool: ReadPool, rows: Ints | None, spec: SelectSpec, half: int = WHOLE) -> list[StrategyCredits]:
    """Credits of samples or, with `rows` [problems, P, S], of chains; a half is not asked for its limit."""
    if rows is not None:
        return revision_credits(ChainPool(pool.pools, rows), pool.scores, spec)
    return select_credits(pool.pools, pool.scores, spec, limit=half == WHOLE)


def _costs(pool: ReadPool, rows: Ints | None) -> Callable[[str, tuple[int, ...]], dict[str, Floats]]:
    """What a verifier's budgets cost: columns of CREDITS, [budgets, problems]."""

    @cache
    def costs(verifier: str, budgets: tuple[int, ...]) -> dict[str, Floats]:
        used = (pool.prompt, pool.policy, pool.verifiers.get(verifier))
        if rows is not None:
            return revision_costs(ChainPool(pool.pools, rows), *used, budgets)
        return expected_costs(budgets, pool.pools.sizes, *used)

    return costs


def _half_columns(
    pool: ReadPool, rows: Ints | None, members: Bools, half: int, spec: SelectSpec
) -> dict[str, list[object]]:
    """The columns of CREDITS of one half: `members`, [candidates]; none where it is less than any budget."""
    if rows is None:
        largest = int(pool.pools.sizes.min()) // 2
    else:
        # Both halves end alike, as they are averaged.
        both = [halved_chains(rows, one) for one in (members, ~members)]
        rows, largest = both[0], min(one.shape[1] for one in both) * rows.shape[2]
    budgets = tuple(budget for budget in spec.budgets if budget <= largest)
    if not budgets:
        return {}
    own = spec.model_copy(update={"budgets": budgets, "seed": derive_seed("half", spec.seed, half)})
    part = pool if rows is not None else part_of(pool, members)
    return _columns(_credits(part, rows, own, half), part.problems, _costs(part, rows), half)


def _chains(pools: Pools, candidates_path: str, length: int) -> Ints:
    """The rows of the chains of `length` answers among the candidates, [problems, P, length]."""
    table = read_table(candidates_path, CANDIDATES).select(["run", "budget"]).to_pydict()
    return arrange_chains(pools.problem_ids, pools.sizes, table["run"], table["budget"], length)


def _select_from_searches(spec: SelectSpec, files: Namespace) -> None:
    """What `main` does where the candidates are those of searches: the ledger is the table of their usage."""
    candidates_path, grades_path, usage_path = files.candidates, files.grades, files.ledger
    scores_path = files.scores[0]
    problems = read_table(files.problems, PROBLEMS)
    candidates = read_table(candidates_path, CANDIDATES)
    pool_sizes(problems, candidates, files.problems, candidates_path)
    grades, table = read_table(grades_path, GRADES), read_table(scores_path, SCORES)
    usage = read_table(usage_path, USAGE)
    check_aligned(grades, grades_path, candidates, candidates_path)
    check_aligned(table, scores_path, candidates, candidates_path)
    ids = problems["problem_id"].to_pylist()
    shape = (len(ids), len(spec.budgets), -1)
    of_usage, runs = arranged(_keys(usage), ids, spec.budgets, usage_path)
    of_candidates, _ = arranged(_keys(candidates), ids, spec.budgets, candidates_path)
    if np.any(np.diff(of_candidates) < 0):
        raise UserError(f"{candidates_path}: solutions are not in the order of their searches; run again")
    pools = Pools(
        problem_ids=ids,
        sizes=np.bincount(of_candidates, minlength=len(ids) * len(spec.budgets) * runs),
        answer_class=ints(grades, "answer_class"),
        correct=grades["correct"].to_numpy(),
    )
    finished = pc.equal(candidates["finish"], STOP).to_numpy()
    name = spec.verifiers[0]
    steps = {name: step_scores(table, scores_path, candidates)}
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
        **_counts(pools.answer_class, finished),
        "nominal_samples": {
            str(budget): float(used["nominal_samples"][:, place].mean())
            for place, budget in enumerate(spec.budgets)
        },
    }
    write_table(files.out, _columns(credits, problems, lambda *_: costs, WHOLE), CREDITS, metadata)
    print(
        f"{len(credits)} strategies on {len(ids)} problems, {runs} runs at {len(spec.budgets)} budgets; "
        f"{int(np.count_nonzero(~finished))} of {finished.size} solutions unfinished",
        file=sys.stderr,
    )


def _keys(table: pa.Table) -> list[tuple[str, int, int]]:
    """Problem, budget and run of every row."""
    return list(zip(*(table[name].to_pylist() for name in ("problem_id", "budget", "run")), strict=True))


def _columns(
    credits: Sequence[StrategyCredits],
    problems: pa.Table,
    costs_of: Callable[[str, tuple[int, ...]], dict[str, Floats]],
    half: int,
) -> dict[str, list[object]]:
    """The columns of CREDITS: by strategy, then budget, then problem."""
    columns: dict[str, list[object]] = {name: [] for name in CREDITS.names}
    count = len(problems)
    for row in credits:
        for name in ("problem_id", "level"):
            columns[name] += problems[name].to_pylist() * len(row.budgets)
        for name, value in row.strategy._asdict().items():
            columns[name] += [value] * (count * len(row.budgets))
        columns["half"] += [half] * (count * len(row.budgets))
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
    run_main(main)
