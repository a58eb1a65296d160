"""Expected correctness and cost of every selector, step aggregation and budget on every problem.

SPEC is the JSON of `isoflop.selection.pool.SelectSpec`; there is one pair of score table and ledger for
each verifier it names, in that order. OUT has the columns of `isoflop.tables.CREDITS`; its metadata has the
shapes of the policy and the verifiers, and how exact the estimates are. What a clock measured goes into a
table of its own (`isoflop.tables.SECONDS`); where the study asks for cost model `seconds`, it is in OUT too.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
import pyarrow as pa

from isoflop.allocation.halves import HALVES, WHOLE, halved, halved_chains
from isoflop.arrays import Bools, Ints
from isoflop.costs.shape import ModelShape
from isoflop.errors import UserError, run_main
from isoflop.files import write_table
from isoflop.registries import COST_MODELS, SELECTORS, cost_columns, measured_costs
from isoflop.seeds import derive_seed
from isoflop.selection.chains import ChainPool
from isoflop.selection.pool import PickingCredits, Pool, SelectSpec
from isoflop.selection.published import published_search
from isoflop.selection.samples import SamplePool
from isoflop.selection.trees import TreePool
from isoflop.selection.voting import draws_needed
from isoflop.stages.shared.command import File, StageCommand
from isoflop.stages.shared.pools import (
    first_answers,
    read_chain_rows,
    read_samples,
    read_searched,
    read_searches,
)
from isoflop.strategy import NO_ANSWER
from isoflop.tables import CREDITS, SECONDS, with_columns

_COMMAND = StageCommand(
    "select",
    __doc__,
    File("problems", "table of problems"),
    File("candidates", "table of candidates"),
    File("grades", "table of their grades"),
    File("ledger", "what sampling took; of a search, the table of its usage"),
    File("scores", "each verifier's scores and its ledger, in turn", many="*", shown="SCORES LEDGER"),
    File("out", "table of credits to write"),
    File("seconds", "table of measured seconds to write"),
)

# The cost model of what a clock measures.
_CLOCK = "seconds"

AnyPool = SamplePool | ChainPool | TreePool


@dataclass(frozen=True)
class _Input:
    """A pool with what its table says besides credits and costs.

    `picked`: answer class, and whether the model ended the solution, of all candidates that are picked from.
    `first`: which candidates are the first answers of chains.
    """

    problems: pa.Table
    pool: AnyPool
    picked: tuple[Ints, Bools]
    policy: ModelShape | None
    verifiers: dict[str, ModelShape | None]
    first: Bools | None


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
    read = _read(spec, [files.problems, files.candidates, files.grades, files.ledger, *files.scores])
    credits = read.pool.credits(spec)
    columns = _columns(credits, read.problems, read.pool, WHOLE, spec.costs)
    for half in HALVES if spec.halves else ():
        for name, values in _half_columns(read, half, spec).items():
            columns[name] += values
    answer_class, finished = read.picked
    counts = {
        "candidates": int(answer_class.size),
        "unanswered": int(np.count_nonzero(answer_class == NO_ANSWER)),
        "unfinished": int(np.count_nonzero(~finished)),
    }
    metadata: dict[str, object] = {
        "policy": _dumped(read.policy),
        "verifiers": {name: _dumped(shape) for name, shape in read.verifiers.items()},
        **counts,
        **_notes(read.pool, credits, spec),
    }
    write_table(files.out, columns, _schema(spec.costs), metadata)
    write_table(files.seconds, _seconds(credits, read), SECONDS, {})
    print(
        f"{len(credits)} strategies on {len(read.problems)} problems, {counts['candidates']} candidates, "
        f"{counts['unfinished']} of them unfinished; largest Monte Carlo standard error of an accuracy: "
        f"{_largest_error(credits):.2g}",
        file=sys.stderr,
    )


def _seconds(credits: Sequence[PickingCredits], read: _Input) -> dict[str, list[object]]:
    """The columns of SECONDS: by verifier, then budget, then problem."""
    found: dict[tuple[str, int], list[object]] = {}
    for row in credits:
        costs = read.pool.costs(row.budgets, row.picking.verifier, asked=(_CLOCK,))
        for budget, values in zip(row.budgets, costs[COST_MODELS[_CLOCK].column], strict=True):
            # Infinitely many samples (budget 0) take no finite time.
            if budget > 0:
                found.setdefault((row.picking.verifier, int(budget)), values.tolist())
    count, ordered = len(read.problems), sorted(found)
    return {
        "problem_id": read.problems["problem_id"].to_pylist() * len(ordered),
        "verifier": [verifier for verifier, _ in ordered for _ in range(count)],
        "budget": [budget for _, budget in ordered for _ in range(count)],
        "seconds": [value for key in ordered for value in found[key]],
    }


def _dumped(shape: ModelShape | None) -> dict[str, object] | None:
    return None if shape is None else shape.model_dump()


def _schema(costs: Sequence[str]) -> pa.Schema:
    """The columns of the table, those of the costs that are asked for among them."""
    return with_columns(CREDITS, cost_columns(measured_costs(costs)))


def _notes(pool: AnyPool, credits: Sequence[PickingCredits], spec: SelectSpec) -> dict[str, object]:
    """Metadata: the runs of a search, which is exact, or how exact the credits of other pools are."""
    if isinstance(pool, TreePool):
        nominal = {
            str(budget): float(pool.usage["nominal_samples"][:, column].mean())
            for column, budget in enumerate(spec.budgets)
        }
        return {"runs": pool.runs, "nominal_samples": nominal}
    errors = np.concatenate([row.standard_error.ravel() for row in credits])
    monte_carlo = {
        "seed": spec.seed,
        "draws_per_problem": draws_needed(credits[0].credit.shape[1]),
        "share_of_credits_sampled": float(np.mean(errors != 0)),
        "largest_standard_error_of_accuracy": _largest_error(credits),
    }
    return {"monte_carlo": monte_carlo}


def _largest_error(credits: Sequence[PickingCredits]) -> float:
    """The largest Monte Carlo standard error of a mean credit over all problems."""
    errors = [float(np.sqrt((row.standard_error**2).sum(axis=1)).max()) for row in credits]
    problems: int = credits[0].credit.shape[1]
    return max(errors) / problems


def _read(spec: SelectSpec, paths: Sequence[str]) -> _Input:
    """The pool of the specification's kind. Raises UserError naming the file and row of what does not fit."""
    logprobs = any(SELECTORS[name].needs_logprob for name in spec.selectors)
    if spec.generator_kind == "published_search":
        return _read_published(spec, paths)
    read = _read_searches if spec.generator_kind == "search" else _read_samples
    return read(spec, paths, logprobs)


def _read_published(spec: SelectSpec, paths: Sequence[str]) -> _Input:
    read = read_samples(
        paths[:4],
        paths[4:],
        verifiers=spec.verifiers,
        outcome_verifiers=spec.outcome_verifiers,
        imported=True,
        terms=spec.terms,
    )
    pool = published_search(read.pool, read.finished, read_searched(paths[1]), spec.budgets, paths[1])
    return _Input(
        problems=read.problems,
        pool=pool,
        picked=(pool.candidates.answer_class, pool.finished),
        policy=pool.policy.shape,
        verifiers=dict.fromkeys(spec.verifiers, pool.verifier.shape),
        first=None,
    )


def _read_searches(spec: SelectSpec, paths: Sequence[str], logprobs: bool) -> _Input:
    # The ledger is the table of the searches' usage.
    verifier = spec.verifiers[0]
    read = read_searches(
        paths[:5], budgets=spec.budgets, verifier=verifier, logprobs=logprobs, terms=spec.terms
    )
    pool = read.pool
    return _Input(
        problems=read.problems,
        pool=pool,
        picked=(pool.candidates.answer_class, pool.finished),
        policy=pool.policy.shape,
        verifiers={verifier: pool.verifier.shape},
        first=None,
    )


def _read_samples(spec: SelectSpec, paths: Sequence[str], logprobs: bool) -> _Input:
    read = read_samples(
        paths[:4],
        paths[4:],
        verifiers=spec.verifiers,
        outcome_verifiers=spec.outcome_verifiers,
        imported=spec.generator_kind == "import",
        logprobs=logprobs,
        terms=spec.terms,
    )
    samples = read.pool
    pool: SamplePool | ChainPool = samples
    first, picked = None, (samples.candidates.answer_class, read.finished)
    if spec.length is not None:
        first = first_answers(samples.candidates, paths[1])
        rows = read_chain_rows(samples.candidates, paths[1], spec.length)
        pool = ChainPool(samples, rows)
        picked = (samples.candidates.answer_class[rows.ravel()], read.finished[rows.ravel()])
    return _Input(
        problems=read.problems,
        pool=pool,
        picked=picked,
        policy=samples.policy.model,
        verifiers={name: usage.model for name, usage in samples.verifiers.items()},
        first=first,
    )


def _half_columns(read: _Input, half: int, spec: SelectSpec) -> dict[str, list[object]]:
    """The columns of CREDITS of one half of a pool; none where it is less than any budget."""
    part, largest = _half(read, half)
    budgets = tuple(budget for budget in spec.budgets if budget <= largest)
    if not budgets:
        return {}
    seed = derive_seed("half", spec.seed, half)
    half_spec = spec.model_copy(update={"budgets": budgets, "seed": seed})
    return _columns(part.credits(half_spec), read.problems, part, half, spec.costs)


def _half(read: _Input, half: int) -> tuple[Pool, int]:
    """One half of a pool, which has no limit, and the largest budget that both halves have."""
    if isinstance(read.pool, ChainPool):
        chains = read.pool
        members = halved(chains.samples.candidates.sizes, half, read.first)
        both = [halved_chains(chains.rows, rows) for rows in (members, ~members)]
        return replace(chains, rows=both[0]), min(rows.shape[1] for rows in both) * chains.length
    assert isinstance(read.pool, SamplePool)  # as the specification's check has it
    sizes = read.pool.candidates.sizes
    return replace(read.pool.part(halved(sizes, half)), limits=False), int(sizes.min()) // 2


def _columns(
    credits: Sequence[PickingCredits],
    problems: pa.Table,
    pool: Pool,
    half: int,
    costs: Sequence[str],
) -> dict[str, list[object]]:
    """The columns of CREDITS and of `costs`: by strategy, then budget, then problem."""
    columns: dict[str, list[object]] = {name: [] for name in _schema(costs).names}
    count, costs_of = len(problems), cache(partial(pool.costs, asked=costs))
    for row in credits:
        for name in ("problem_id", "level"):
            columns[name] += problems[name].to_pylist() * len(row.budgets)
        for name, value in row.picking._asdict().items():
            columns[name] += [value] * (count * len(row.budgets))
        columns["half"] += [half] * (count * len(row.budgets))
        columns["budget"] += np.repeat(row.budgets, count).tolist()
        columns["credit"] += row.credit.ravel().tolist()
        columns["standard_error"] += row.standard_error.ravel().tolist()
        for name, bounds in zip(("limit_low", "limit_high"), _limit_bounds(row), strict=True):
            columns[name] += [*[None] * (row.credit.size - len(bounds)), *bounds]
        for name, values in costs_of(row.budgets, row.picking.verifier).items():
            columns[name] += values.ravel().tolist()
    return columns


def _limit_bounds(row: PickingCredits) -> tuple[list[float], list[float]]:
    """Low and high of the limit, whose rows come last."""
    if row.limit_bounds is None:
        return [], []
    low, high = row.limit_bounds
    return low.tolist(), high.tolist()


if __name__ == "__main__":
    run_main(main)
