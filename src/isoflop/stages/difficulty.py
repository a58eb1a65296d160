"""How hard every problem is for one policy, by a pool of its samples.

    python -m isoflop.stages.difficulty SPEC PROBLEMS CANDIDATES GRADES LEDGER [SCORES LEDGER] OUTPUT

SPEC is the JSON of `isoflop.specs.DifficultySpec`; the score table and its ledger are there if it names a
verifier. OUTPUT has the columns of `isoflop.tables.DIFFICULTY`.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from isoflop.difficulty import mean_scores, pass_rates, quantile_bins
from isoflop.errors import UserError
from isoflop.selection import StepScores, Usage, expected_costs, solution_scores
from isoflop.specs import DifficultySpec
from isoflop.stages.common import read_spec, read_table, run_stage, write_table
from isoflop.stages.pools import ReadPool, read_pool
from isoflop.tables import CANDIDATES, DIFFICULTY

Floats = NDArray[np.float64]

_USAGE = (
    "usage: python -m isoflop.stages.difficulty SPEC PROBLEMS CANDIDATES GRADES LEDGER [SCORES LEDGER] OUTPUT"
)


def main(arguments: Sequence[str]) -> None:
    """Read and check the pool and write the bins; raises UserError on bad input."""
    if not arguments:
        raise UserError(_USAGE)
    spec = read_spec(DifficultySpec, arguments[0], "difficulty")
    if len(arguments) != (6 if spec.verifier is None else 8):
        raise UserError(_USAGE)
    pool = read_pool(
        arguments[1:5],
        arguments[5:-1],
        verifiers=[spec.verifier] if spec.verifier else [],
        outcome_verifiers=[spec.verifier] if spec.verifier and spec.outcome else [],
        imported=spec.imported,
    )
    if spec.chains:
        pool = first_answers(pool, arguments[2])
    count = len(pool.problems)
    oracle = pass_rates(pool.pools.correct, pool.pools.sizes)
    columns: dict[str, list[object]] = {
        "problem_id": pool.problems["problem_id"].to_pylist(),
        "level": pool.problems["level"].to_pylist(),
        "samples": pool.pools.sizes.tolist(),
        "oracle": oracle.tolist(),
        "oracle_bin": quantile_bins(oracle, spec.bins).tolist(),
        "predicted": [None] * count,
        "predicted_bin": [None] * count,
        "flops_total_verified": [None] * count,
    }
    for name in ("flops_wu2024", "flops_kaplan", "flops_total"):
        columns[name] = _whole(pool, None)[name].tolist()
    if spec.verifier is not None:
        aggregation = "last" if spec.outcome else spec.step_aggregation
        scores = solution_scores(pool.pools.sizes, pool.scores[spec.verifier], aggregation)
        predicted = mean_scores(scores, pool.pools.sizes)
        columns["predicted"] = predicted.tolist()
        columns["predicted_bin"] = quantile_bins(predicted, spec.bins).tolist()
        columns["flops_total_verified"] = _whole(pool, spec.verifier)["flops_total"].tolist()
    write_table(arguments[-1], columns, DIFFICULTY, {"policy": pool.policy.model.model_dump()})
    sizes = np.bincount(columns["oracle_bin"], minlength=spec.bins + 1)[1:]  # type: ignore[arg-type]
    print(f"{count} problems in bins of {', '.join(map(str, sizes.tolist()))}", file=sys.stderr)


def first_answers(pool: ReadPool, candidates_path: str) -> ReadPool:
    """The pool of the first answers of all chains. Raises UserError where there are no chains."""
    first = read_table(candidates_path, CANDIDATES)["budget"].to_numpy() == 1
    pools, problem = pool.pools, np.repeat(np.arange(pool.pools.sizes.size), pool.pools.sizes)
    sizes = np.bincount(problem[first], minlength=pools.sizes.size)
    if not sizes.all():
        raise UserError(f"{candidates_path}: its candidates are no chains; delete it and run again")

    def kept(usage: Usage) -> Usage:
        share = float(usage.tokens[first].sum()) / max(float(usage.tokens.sum()), 1.0)
        return replace(usage, tokens=usage.tokens[first], seconds=usage.seconds * share)

    return replace(
        pool,
        pools=replace(
            pools, sizes=sizes, answer_class=pools.answer_class[first], correct=pools.correct[first]
        ),
        prompt=pool.prompt[first],
        policy=kept(pool.policy),
        scores={
            name: StepScores(one.scores[np.repeat(first, one.counts)], one.counts[first])
            for name, one in pool.scores.items()
        },
        verifiers={name: kept(one) for name, one in pool.verifiers.items()},
    )


def _whole(pool: ReadPool, verifier: str | None) -> dict[str, Floats]:
    """What sampling each problem's whole pool cost, columns of CREDITS, [problems]."""
    read = pool.verifiers[verifier] if verifier else None
    two = expected_costs((1, 2), pool.pools.sizes, pool.prompt, pool.policy, read)
    # Costs are linear in the number of samples, which may differ between problems.
    return {name: cost[0] + (pool.pools.sizes - 1) * (cost[1] - cost[0]) for name, cost in two.items()}


if __name__ == "__main__":
    run_stage(main)
