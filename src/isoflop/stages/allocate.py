"""Compute-optimal choice per difficulty, and pretraining against test-time compute.

SPEC is the JSON of `isoflop.specs.AllocateSpec`, with one credits table per pool and one difficulty
table per policy and data set that it names, in that order.
"""

import sys
from collections.abc import Mapping, Sequence

import pandas as pd
from pydantic import ValidationError

from isoflop.allocation.difficulty import difficulty_schema
from isoflop.allocation.exchange_curves import exchange_curves, pair_curves
from isoflop.allocation.exchange_study import exchanges
from isoflop.allocation.options import CreditsTable
from isoflop.allocation.study import Pair, study_choice
from isoflop.allocation.tables import by_difficulty, compute_optimal, exchange
from isoflop.claims.snell2024 import snell_claims
from isoflop.costs.shape import ModelShape
from isoflop.errors import UserError, run_main
from isoflop.files import read_table, table_metadata
from isoflop.registries import cost_columns, measured_costs
from isoflop.results import write_result
from isoflop.specs import AllocateSpec
from isoflop.stages.shared.command import File, StageCommand
from isoflop.tables import CREDITS, with_columns
from isoflop.verdicts.judge import claims_csv

_COMMAND = StageCommand(
    "allocate",
    __doc__,
    File("tables", "all credits tables, then all tables of difficulty", many="*", shown="TABLE"),
    File("by_difficulty", "accuracy by bin, to write as CSV"),
    File("compute_optimal", "the choices, to write as CSV"),
    File("exchange", "exchanges of pretraining for test-time compute, to write as CSV"),
    File("claims", "claims, tested, to write as CSV"),
    File("exchange_curves", "the small models' curves in the pairs' bins, to write as CSV"),
)


def main(arguments: Sequence[str]) -> None:
    """Read every table and write the five outputs; raises UserError on bad input."""
    given = _COMMAND.read(AllocateSpec, arguments)
    spec, files = given.spec, given.files
    expected = len(spec.pools) + len(spec.difficulties)
    if len(files.tables) != expected:
        raise UserError(f"the specification names {expected} tables, {len(files.tables)} are given")
    credits, parameters = _credits(spec, files.tables[: len(spec.pools)])
    tables = dict(zip(spec.difficulties, files.tables[len(spec.pools) :], strict=True))
    telling = {(dataset, policy): generator for dataset, policy, generator in spec.difficulties}
    schema = difficulty_schema(spec.costs)
    difficulties = {one[:2]: read_table(path, schema).to_pandas() for one, path in tables.items()}
    pairs = [
        Pair(
            dataset=dataset,
            policy=policy,
            parameters=parameters[policy],
            difficulty=difficulties.get((dataset, policy)),
            telling=telling.get((dataset, policy)),
            credits=credits.get((dataset, policy), {}),
        )
        for dataset, policy in dict.fromkeys((*difficulties, *credits))
    ]
    studied = study_choice(pairs, spec)
    swaps = exchanges(studied, pairs, spec)
    kinds = {pool.generator.partition("/")[0]: pool.kind for pool in spec.pools}
    claims = claims_csv(snell_claims(studied, swaps, kinds, spec.level, spec.costs), spec.experiment)
    written = {
        files.by_difficulty: by_difficulty(studied, spec.experiment, spec.level, spec.costs),
        files.compute_optimal: compute_optimal(studied, spec.experiment, spec.level),
        files.exchange: exchange(swaps, spec.experiment, spec.level),
        files.claims: claims,
        files.exchange_curves: exchange_curves(
            pair_curves(studied, pairs, spec), spec.experiment, spec.level
        ),
    }
    for output, table in written.items():
        write_result(output, table.to_csv(index=False, lineterminator="\n"))
    print(f"{len(studied)} families of policies, {len(swaps)} exchanges", file=sys.stderr)


def _credits(
    spec: AllocateSpec, paths: Sequence[str]
) -> tuple[dict[tuple[str, str], dict[str, CreditsTable]], dict[str, int | None]]:
    """Credits by data set and policy, then generator; and the parameters of every policy that a token meets,
    None where nobody knows them.
    """
    found: dict[tuple[str, str], dict[str, CreditsTable]] = {}
    parameters: dict[str, int | None] = {}
    for pool, path in zip(spec.pools, paths, strict=True):
        table = read_table(path, with_columns(CREDITS, cost_columns(measured_costs(spec.costs))))
        metadata = table_metadata(table)
        known = metadata.get("policy", "")
        try:
            parameters[pool.policy] = None if known is None else ModelShape.model_validate(known).active
        except ValidationError as error:
            raise UserError(f"{path}: names no policy in its metadata; delete it and run again") from error
        nominal = metadata.get("nominal_samples", {})
        assert isinstance(nominal, Mapping)  # the select stage writes it
        frame: pd.DataFrame = table.to_pandas()
        counts = {int(budget): float(samples) for budget, samples in nominal.items()}
        of_pair = found.setdefault((pool.dataset, pool.policy), {})
        of_pair[pool.generator] = CreditsTable(pool.generator, frame, counts, path)
    return found, parameters


if __name__ == "__main__":
    run_main(main)
