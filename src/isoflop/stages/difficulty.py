"""How hard every problem is for one policy, by a pool of its samples, and by each half of it.

SPEC is the JSON of `isoflop.specs.DifficultySpec`; the score table and its ledger are there if it
names a verifier. OUT has the columns of `isoflop.tables.DIFFICULTY`.
"""

import math
import sys
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from isoflop.allocation.difficulty import difficulty_schema, mean_scores, pass_rates, quantile_bins
from isoflop.allocation.halves import HALVES, WHOLE, halved
from isoflop.arrays import Floats
from isoflop.errors import run_main
from isoflop.files import write_table
from isoflop.registries import cost_columns, fitted_costs
from isoflop.selection.pool import solution_scores
from isoflop.selection.samples import SamplePool
from isoflop.specs import DifficultySpec
from isoflop.stages.shared.command import File, StageCommand
from isoflop.stages.shared.pools import first_answers, read_samples
from isoflop.strategy import NONE
from isoflop.tables import verified

_COMMAND = StageCommand(
    "difficulty",
    __doc__,
    File("problems", "table of problems"),
    File("candidates", "table of candidates"),
    File("grades", "table of their grades"),
    File("ledger", "what sampling took"),
    File("scores", "the verifier's scores and its ledger", many="*", shown="SCORES LEDGER"),
    File("out", "table of bins to write"),
)


def main(arguments: Sequence[str]) -> None:
    """Read and check the pool and write the bins; raises UserError on bad input."""
    given = _COMMAND.read(DifficultySpec, arguments)
    spec, files = given.spec, given.files
    if len(files.scores) != (0 if spec.verifier is None else 2):
        raise _COMMAND.fault("scores and their ledger come with a verifier, and only then")
    read = read_samples(
        (files.problems, files.candidates, files.grades, files.ledger),
        files.scores,
        verifiers=[spec.verifier] if spec.verifier else [],
        outcome_verifiers=[spec.verifier] if spec.verifier and spec.outcome else [],
        imported=spec.imported,
        terms=spec.terms,
    )
    problems, pool = read.problems, read.pool
    if spec.chains:
        pool = pool.part(first_answers(pool.candidates, files.candidates))
    parts = [pool]
    if pool.candidates.sizes.min() > 1:
        parts += [pool.part(halved(pool.candidates.sizes, half)) for half in HALVES]
    schema = difficulty_schema(spec.costs)
    columns: dict[str, list[object]] = {name: [] for name in schema.names}
    for half, part in enumerate(parts):
        for name, values in _columns(problems, part, half, spec).items():
            columns[name] += values
    policy = pool.policy.model
    write_table(files.out, columns, schema, {"policy": None if policy is None else policy.model_dump()})
    count = len(problems)
    sizes = np.bincount(columns["oracle_bin"][:count], minlength=spec.bins + 1)[1:]  # type: ignore[arg-type]
    print(f"{count} problems in bins of {', '.join(map(str, sizes.tolist()))}", file=sys.stderr)


def _columns(
    problems: pa.Table, pool: SamplePool, half: int, spec: DifficultySpec
) -> dict[str, list[object]]:
    """The rows of the whole pool, half 0, or of one of its halves."""
    count = len(problems)
    oracle = pass_rates(pool.candidates.correct, pool.candidates.sizes)
    columns: dict[str, list[object]] = {
        "problem_id": problems["problem_id"].to_pylist(),
        "level": problems["level"].to_pylist(),
        "half": [half] * count,
        "samples": pool.candidates.sizes.tolist(),
        "oracle": oracle.tolist(),
        "oracle_bin": quantile_bins(oracle, spec.bins).tolist(),
        "predicted": [None] * count,
        "predicted_bin": [None] * count,
        "flops_total_verified": [None] * count,
    }
    plain, further = _whole(pool, NONE, spec.costs), cost_columns(spec.costs)
    for name in cost_columns(fitted_costs(spec.costs)):
        columns[name] = plain[name].tolist()
    for name in further:
        columns[verified(name)] = [math.nan] * count
    if spec.verifier is not None:
        aggregation = "last" if spec.outcome else spec.step_aggregation
        scores = solution_scores(pool.candidates.sizes, pool.scores[spec.verifier], aggregation)
        # A half may hold nothing but what was too long to be scored, a whole pool may not.
        predicted = mean_scores(scores, pool.candidates.sizes, whole=half == WHOLE)
        columns["predicted"] = predicted.tolist()
        columns["predicted_bin"] = quantile_bins(predicted, spec.bins).tolist()
        read = _whole(pool, spec.verifier, spec.costs)
        for name in ("flops_total", *further):
            columns[verified(name)] = read[name].tolist()
    return columns


def _whole(pool: SamplePool, verifier: str, costs: Sequence[str]) -> dict[str, Floats]:
    """What sampling each problem's whole pool cost, by column, [problems]."""
    two = pool.costs((1, 2), verifier, costs)
    # Costs are linear in the number of samples, which may differ between problems.
    return {name: cost[0] + (pool.candidates.sizes - 1) * (cost[1] - cost[0]) for name, cost in two.items()}


if __name__ == "__main__":
    run_main(main)
