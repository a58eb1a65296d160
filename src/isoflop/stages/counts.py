"""Import how many of a problem's samples are right, and the coverage (pass@k) that follows from it.

There are no texts, so nothing is graded and no answer is picked: from the counts it goes straight to credits.
SPEC is the JSON of `isoflop.specs.CountsSpec`. The tables are that of the problems, where the specification
says that there is one, then those to write: all counts, and the credits of every policy.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from isoflop.config.imports.entries import Import, ImportSource
from isoflop.config.models import ModelSize
from isoflop.costs.pools import expected_costs
from isoflop.costs.shape import ModelShape
from isoflop.costs.work import Usage
from isoflop.data.columns import Layout, Reading, laid_out, value_at, ways_to_write, written
from isoflop.data.counts import CountedPool, ProblemCount, check_problems, pool_counts
from isoflop.data.format import count_format
from isoflop.data.rows import Row, read_rows
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
    pools = {name: _ordered(pool, levels) for name, pool in _pools(spec).items()}
    for name, pool in pools.items():
        _check_equal(name, pool, spec)
    check_problems(pools, None if levels is None else list(levels), common=spec.common)
    out, *credits = tables
    _write_counts(out, spec, pools)
    for policy, path in zip(spec.policies, credits, strict=True):
        pool = pools[policy.name]
        asked = spec.generator.budgets_of(policy.name, spec.budgets)
        budgets = [budget for budget in asked if budget <= pool.least]
        if not budgets:
            raise UserError(
                f"budgets: the smallest, {asked[0]}, is more than the {pool.least} samples that every "
                f"problem of policy {policy.name} has; give smaller ones"
            )
        _write_credits(path, spec, policy, pool, budgets)
        print(
            f"counts: {policy.name}, {len(pool.counts)} problems with {pool.least} samples or more, budgets "
            f"up to {budgets[-1]}",
            file=sys.stderr,
        )


def _ordered(pool: CountedPool, levels: Levels | None) -> CountedPool:
    """The counts in the order of the data set's problems and with their levels, where there are any."""
    if levels is None:
        return pool
    known = {
        name: replace(pool.counts[name], level=level) for name, level in levels.items() if name in pool.counts
    }
    return pool._replace(counts=known | {name: one for name, one in pool.counts.items() if name not in known})


def _pools(spec: CountsSpec) -> dict[str, CountedPool]:
    """The counts of every policy; a file that several of them are in is read once."""
    mirror = Path(spec.mirror) if spec.mirror else None
    rows: dict[str, _Rows] = {}
    pools = {}
    for policy in (one.name for one in spec.policies):
        own = (source for source in spec.generator.sources if source.policy == policy)
        files = (one for source in own for one in _files(source, spec.generator, mirror, rows))
        pools[policy] = pool_counts(files, spec.generator.at_least or 1)
    return pools


class _Rows:
    """A file's rows, and which of them have which values where sources look."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = list(rows)
        self._places: dict[tuple[str, ...], dict[tuple[str, ...], list[Row]]] = {}

    def chosen(self, where: Mapping[str, Sequence[str]]) -> list[Row]:
        """The rows that `where` keeps; all of them where it keeps none, so that somebody says so."""
        paths = tuple(where)
        if paths not in self._places:
            found: dict[tuple[str, ...], list[Row]] = {}
            for row in self._rows:
                with suppress(KeyError):
                    for key in product(*(ways_to_write(value_at(row[1], path)) for path in paths)):
                        found.setdefault(key, []).append(row)
            self._places[paths] = found
        keys = product(*where.values())
        kept = {id(row): row for key in keys for row in self._places[paths].get(key, [])}
        return list(kept.values()) or self._rows


def _files(
    source: ImportSource, generator: Import, mirror: Path | None, rows: dict[str, _Rows]
) -> Iterator[tuple[str, Iterator[ProblemCount]]]:
    format_ = count_format(generator.format)
    layout = Layout(
        columns=generator.columns or {},
        where={path: written(values) for path, values in (source.where or {}).items()},
        ignore=generator.ignore,
    )
    for name, path, _ in source_files(source, mirror):
        if name not in rows:
            # The suffix decides how rows are read; the name is what messages call the file.
            found = read_rows(str(path), read_file(path), generator.rows)
            rows[name] = _Rows((f"{name}{place.removeprefix(str(path))}", values) for place, values in found)
        chosen = rows[name].chosen(layout.where)
        yield name, format_.read(laid_out(chosen, format_, layout, Reading()))


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


def _write_counts(path: str, spec: CountsSpec, pools: Mapping[str, CountedPool]) -> None:
    rows = [(policy, one) for policy, pool in pools.items() for one in pool.counts.values()]
    columns: dict[str, list[object]] = {
        "policy": [policy for policy, _ in rows],
        "problem_id": [one.problem for _, one in rows],
        "level": [one.level for _, one in rows],
        "samples": [one.samples for _, one in rows],
        "correct": [one.correct for _, one in rows],
        "tokens": [_tokens(one, spec.generator) for _, one in rows],
    }
    unequal = [policy for policy, pool in pools.items() if not pool.equal]
    write_table(path, columns, COUNTS, {"dataset": spec.generator.dataset, "unequal": unequal})


def _write_credits(
    path: str, spec: CountsSpec, policy: CountedPolicy, pool: CountedPool, budgets: Sequence[int]
) -> None:
    """Coverage at every budget that all problems have, with what so many samples cost."""
    counts = list(pool.counts.values())
    samples, correct = (
        np.array([getattr(one, name) for one in counts], dtype=np.int64) for name in ("samples", "correct")
    )
    credit = coverage_of_counts(samples, correct, budgets)
    generator, shape = spec.generator, _shape(policy.size)
    tokens = np.array([_tokens(one, generator) for one in counts])
    prompts = np.full(len(counts), float(generator.prompt_tokens or 0))
    # One sample stands for all of a problem, with the mean tokens; nobody measured how long it took.
    usage = Usage(shape, np.nan, tokens, policy.terms)
    ones = np.ones(len(counts), dtype=np.int64)
    costs = expected_costs(budgets, ones, prompts, usage, None, spec.costs)
    rows = credit.size
    # Objects, as tables have them: lists of numbers are no lists of objects.
    values: dict[str, Iterable[object]] = {
        "problem_id": [one.problem for one in counts] * len(budgets),
        "level": [one.level for one in counts] * len(budgets),
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


def _shape(size: ModelSize | None) -> ModelShape | None:
    """The shape of the model; None where nobody knows it."""
    return None if size is None else ModelShape(embedding_parameters=0, **size.model_dump())


if __name__ == "__main__":
    run_main(main)
