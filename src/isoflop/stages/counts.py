"""Import how many of a problem's samples are right, and the coverage (pass@k) that follows from it.

There are no texts, so nothing is graded and no answer is picked: from the counts it goes straight to credits.
SPEC is the JSON of `isoflop.specs.CountsSpec`. The tables are that of the problems, where the specification
says that there is one, then those to write: all counts, and the credits of every policy.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from isoflop.config.imports.entries import Import, ImportSource
from isoflop.config.models import ModelSize
from isoflop.costs.pools import expected_costs
from isoflop.costs.shape import ModelShape
from isoflop.costs.work import Usage
from isoflop.data.columns import wanted_values
from isoflop.data.counts import CountedPool, ProblemCount, check_problems, pool_counts
from isoflop.data.format import count_format
from isoflop.data.rows import Row, read_rows, rows_where
from isoflop.data.sources import read_file
from isoflop.errors import UserError, run_main
from isoflop.files import read_table, write_table
from isoflop.registries import cost_columns, measured_costs
from isoflop.selection.best_of_k import coverage_of_counts
from isoflop.specs import CountedPolicy, CountsSpec
from isoflop.stages.replay import source_files
from isoflop.stages.shared.command import File, StageCommand
from isoflop.strategy import NONE
from isoflop.tables import COUNTS, CREDITS, PROBLEMS, with_columns

_COMMAND = StageCommand(
    "counts",
    __doc__,
    File(
        "tables", "table of problems, if any; counts and credits to write", "+", "[PROBLEMS] COUNTS CREDITS"
    ),
)
_COVERAGE = "pass"
Levels = Mapping[str, int | None]


def main(arguments: Sequence[str]) -> None:
    """Write all counts and every policy's credits; raises UserError on bad input."""
    given = _COMMAND.read(CountsSpec, arguments)
    spec, tables = given.spec, list(given.files.tables)
    if len(tables) != spec.texts + 1 + len(spec.policies):
        raise _COMMAND.fault(f"{len(spec.policies)} policies have as many tables of credits")
    levels: Levels | None = None
    if spec.texts:
        problems = read_table(tables.pop(0), PROBLEMS, ["problem_id", "level"])
        levels = dict(zip(problems["problem_id"].to_pylist(), problems["level"].to_pylist(), strict=True))
    pools = _pools(spec)
    for name, pool in pools.items():
        _check_equal(name, pool, spec)
    names = check_problems(pools, None if levels is None else list(levels))
    if levels is None:
        levels = {name: next(iter(pools.values())).counts[name].level for name in names}
    out, *credits = tables
    _write_counts(out, spec, pools, levels)
    for policy, path in zip(spec.policies, credits, strict=True):
        pool = pools[policy.name]
        budgets = [budget for budget in spec.budgets if budget <= pool.least]
        if not budgets:
            raise UserError(
                f"budgets: the smallest, {spec.budgets[0]}, is more than the {pool.least} samples that every "
                f"problem of policy {policy.name} has; give smaller ones"
            )
        _write_credits(path, spec, policy, pool, budgets, levels)
        print(
            f"counts: {policy.name}, {len(names)} problems with {pool.least} samples or more, budgets up to "
            f"{budgets[-1]}",
            file=sys.stderr,
        )


def _pools(spec: CountsSpec) -> dict[str, CountedPool]:
    """The counts of every policy; a file that several of them are in is read once."""
    mirror = Path(spec.mirror) if spec.mirror else None
    rows: dict[str, list[Row]] = {}
    pools = {}
    for policy in (one.name for one in spec.policies):
        own = (source for source in spec.generator.sources if source.policy == policy)
        files = (one for source in own for one in _files(source, spec.generator, mirror, rows))
        pools[policy] = pool_counts(files, spec.generator.at_least or 1)
    return pools


def _files(
    source: ImportSource, generator: Import, mirror: Path | None, rows: dict[str, list[Row]]
) -> Iterator[tuple[str, Iterator[ProblemCount]]]:
    read = count_format(generator.format).read
    columns = {str(name): column for name, column in (generator.columns or {}).items()}
    where = {path: wanted_values(values) for path, values in (source.where or {}).items()}
    for name, path, _ in source_files(source, mirror):
        if name not in rows:
            # The suffix decides how rows are read; the name is what messages call the file.
            found = read_rows(str(path), read_file(path))
            rows[name] = [(f"{name}{place.removeprefix(str(path))}", values) for place, values in found]
        yield name, read(rows_where(rows[name], where), columns)


def _check_equal(policy: str, pool: CountedPool, spec: CountsSpec) -> None:
    if pool.equal or spec.generator.unequal_samples:
        return
    ordered = sorted(pool.counts.values(), key=lambda one: one.samples)
    least, most = ordered[0], ordered[-1]
    raise UserError(
        f"{most.place}: problem '{most.problem}' of policy {policy} has {most.samples} samples, problem "
        f"'{least.problem}' has {least.samples}; where sampling went on until something was right, the share "
        "of right ones is too high. Leave the policy out, or set unequal_samples: true; the report says so"
    )


def _write_counts(path: str, spec: CountsSpec, pools: Mapping[str, CountedPool], levels: Levels) -> None:
    rows = [(policy, pool.counts[name]) for policy, pool in pools.items() for name in levels]
    columns: dict[str, list[object]] = {
        "policy": [policy for policy, _ in rows],
        "problem_id": [one.problem for _, one in rows],
        "level": [levels[one.problem] for _, one in rows],
        "samples": [one.samples for _, one in rows],
        "correct": [one.correct for _, one in rows],
        "tokens": [_tokens(one, spec.generator) for _, one in rows],
    }
    unequal = [policy for policy, pool in pools.items() if not pool.equal]
    write_table(path, columns, COUNTS, {"dataset": spec.generator.dataset, "unequal": unequal})


def _write_credits(
    path: str,
    spec: CountsSpec,
    policy: CountedPolicy,
    pool: CountedPool,
    budgets: Sequence[int],
    levels: Levels,
) -> None:
    """Coverage at every budget that all problems have, with what so many samples cost."""
    counts = [pool.counts[name] for name in levels]
    samples, correct = (
        np.array([getattr(one, name) for one in counts], dtype=np.int64) for name in ("samples", "correct")
    )
    credit = coverage_of_counts(samples, correct, budgets)
    generator, shape = spec.generator, _shape(policy.size)
    tokens = np.array([_tokens(one, generator) for one in counts])
    prompts = np.full(len(counts), float(generator.prompt_tokens or 0))
    # One sample stands for all of a problem, with the mean tokens; nobody measured seconds.
    usage = Usage(shape, np.nan, tokens, policy.terms)
    ones = np.ones(len(counts), dtype=np.int64)
    costs = expected_costs(budgets, ones, prompts, usage, None, spec.costs)
    rows = credit.size
    # Objects, as tables have them: lists of numbers are no lists of objects.
    values: dict[str, Iterable[object]] = {
        "problem_id": [*levels] * len(budgets),
        "level": [*levels.values()] * len(budgets),
        **{name: [value] * rows for name, value in _PICKING.items()},
        "budget": np.repeat(budgets, len(counts)).tolist(),
        "credit": credit.ravel().tolist(),
        "standard_error": [0.0] * rows,
        "limit_low": [None] * rows,
        "limit_high": [None] * rows,
        **{name: cost.ravel().tolist() for name, cost in costs.items()},
    }
    columns = {name: list(column) for name, column in values.items()}
    known = None if shape is None else shape.model_dump()
    schema = with_columns(CREDITS, cost_columns(measured_costs(spec.costs)))
    write_table(path, columns, schema, {"policy": known, "unequal_samples": not pool.equal})


_PICKING: dict[str, object] = {"verifier": NONE, "selector": _COVERAGE, "step_aggregation": NONE, "half": 0}


def _tokens(one: ProblemCount, generator: Import) -> float:
    """Of a sample: as the file counts them, or the config's estimate."""
    found = one.tokens if one.tokens is not None else generator.tokens_per_sample
    assert found is not None  # one of the two is there
    return found


def _shape(size: ModelSize | Literal["unknown"]) -> ModelShape | None:
    """The shape of the model; None where nobody knows it."""
    return None if size == "unknown" else ModelShape(embedding_parameters=0, **size.model_dump())


if __name__ == "__main__":
    run_main(main)
