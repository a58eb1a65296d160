"""Compute-optimal choice per difficulty, and pretraining against test-time compute.

    python -m isoflop.stages.choose SPEC CREDITS... DIFFICULTY... \\
        BY_DIFFICULTY_CSV COMPUTE_OPTIMAL_CSV EXCHANGE_CSV CLAIMS_CSV EXCHANGE_CURVES_CSV

SPEC is the JSON of `isoflop.specs.ChooseSpec`, with one credits table per pool and one difficulty
table per policy and data set that it names, in that order.
"""

import sys
from collections.abc import Mapping, Sequence

import pandas as pd
from pydantic import ValidationError

from isoflop.allocation.exchange_curves import exchange_curves, pair_curves
from isoflop.allocation.exchange_study import exchanges
from isoflop.allocation.options import CreditsTable
from isoflop.allocation.study import Pair, study_choice
from isoflop.allocation.tables import by_difficulty, compute_optimal, exchange
from isoflop.claims.snell2024 import snell_claims
from isoflop.costs import ModelShape
from isoflop.errors import UserError
from isoflop.files import read_spec, read_table, run_stage, table_metadata, write_text
from isoflop.specs import ChooseSpec
from isoflop.tables import CREDITS, DIFFICULTY
from isoflop.verdicts.judge import claims_csv

_OUTPUTS = 5


def main(arguments: Sequence[str]) -> None:
    """Read every table and write the five outputs; raises UserError on bad input."""
    if len(arguments) < _OUTPUTS + 1:
        raise UserError(
            "usage: python -m isoflop.stages.choose SPEC CREDITS... DIFFICULTY... "
            "BY_DIFFICULTY_CSV COMPUTE_OPTIMAL_CSV EXCHANGE_CSV CLAIMS_CSV EXCHANGE_CURVES_CSV"
        )
    spec = read_spec(ChooseSpec, arguments[0], "choose")
    paths, outputs = arguments[1:-_OUTPUTS], arguments[-_OUTPUTS:]
    expected = len(spec.pools) + len(spec.difficulties)
    if len(paths) != expected:
        raise UserError(f"the specification names {expected} tables, {len(paths)} are given")
    credits, parameters = _credits(spec, paths[: len(spec.pools)])
    tables = dict(zip(spec.difficulties, paths[len(spec.pools) :], strict=True))
    telling = {(dataset, policy): generator for dataset, policy, generator in spec.difficulties}
    difficulties = {one[:2]: read_table(path, DIFFICULTY).to_pandas() for one, path in tables.items()}
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
    claims = claims_csv(snell_claims(studied, swaps, kinds, spec.level), spec.experiment)
    written = (
        by_difficulty(studied, spec.experiment, spec.level),
        compute_optimal(studied, spec.experiment, spec.level),
        exchange(swaps, spec.experiment, spec.level),
        claims,
        exchange_curves(pair_curves(studied, pairs, spec), spec.experiment, spec.level),
    )
    for output, table in zip(outputs, written, strict=True):
        write_text(output, table.to_csv(index=False, lineterminator="\n"))
    print(f"{len(studied)} families of policies, {len(swaps)} exchanges", file=sys.stderr)


def _credits(
    spec: ChooseSpec, paths: Sequence[str]
) -> tuple[dict[tuple[str, str], dict[str, CreditsTable]], dict[str, int]]:
    """Credits by data set and policy, then generator; and the parameters of every policy."""
    found: dict[tuple[str, str], dict[str, CreditsTable]] = {}
    parameters: dict[str, int] = {}
    for pool, path in zip(spec.pools, paths, strict=True):
        table = read_table(path, CREDITS)
        metadata = table_metadata(table)
        try:
            parameters[pool.policy] = ModelShape.model_validate(metadata.get("policy")).parameters
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
    run_stage(main)
