"""Write how well verifiers tell right solutions from wrong ones, and how calibrated their scores are.

SPEC is the JSON of `isoflop.specs.VerifierQualitySpec`; there are tables for each pool that it names, in that
order. VERIFIERS and CALIBRATION have the columns of `isoflop.tables`.
"""

from collections.abc import Sequence

import numpy as np

from isoflop.errors import run_main
from isoflop.fits.bootstrap import dataset_weights
from isoflop.fits.verifiers.quality import Quality, Scored, calibration_csv, quality, verifiers_csv
from isoflop.results import write_result
from isoflop.selection.aggregation import aggregate_on_one_scale
from isoflop.selection.pool import solution_scores
from isoflop.specs import VerifierQualitySpec
from isoflop.stages.shared.command import File, StageCommand
from isoflop.stages.shared.pools import read_samples

_COMMAND = StageCommand(
    "verifier_quality",
    __doc__,
    File(
        "pools",
        "each pool's tables and ledger, then those of every verifier",
        many="*",
        shown="PROBLEMS CANDIDATES GRADES LEDGER SCORES LEDGER",
    ),
    File("verifiers", "table of verifiers to write, CSV"),
    File("calibration", "table of bins of scores to write, CSV"),
)


def main(arguments: Sequence[str]) -> None:
    """Read every pool and write both tables; raises UserError on bad input."""
    given = _COMMAND.read(VerifierQualitySpec, arguments)
    spec, files = given.spec, given.files
    wanted = [4 + 2 * len(pool.verifiers) for pool in spec.pools]
    if len(files.pools) != sum(wanted):
        raise _COMMAND.fault(f"pools: {sum(wanted)} files are specified, {len(files.pools)} are given")
    told: list[tuple[Sequence[str], Quality]] = []
    for pool, end, count in zip(spec.pools, np.cumsum(wanted), wanted, strict=True):
        paths = files.pools[end - count : end]
        read = read_samples(
            paths[:4],
            paths[4:],
            verifiers=pool.verifiers,
            outcome_verifiers=spec.outcome_verifiers,
            imported=pool.imported,
        ).pool
        candidates, sizes = read.candidates, read.candidates.sizes
        # Weights are in the order of the problems' identifiers, as those of the curves are.
        place = np.argsort(np.argsort(candidates.problem_ids))
        weights = dataset_weights(pool.dataset, sizes.size, spec.draws, spec.seed)[:, place]
        about = (spec.experiment, pool.dataset, pool.policy, pool.generator)
        for verifier in pool.verifiers:
            steps = read.scores[verifier]
            known = steps.counts > 0
            for how in ("last",) if verifier in spec.outcome_verifiers else spec.step_aggregations:
                scores = np.full(known.size, np.nan)
                scores[known] = aggregate_on_one_scale(steps.scores, steps.counts[known], how)
                scored = Scored(
                    problem=np.repeat(np.arange(sizes.size), sizes),
                    right=candidates.correct,
                    scores=scores,
                    within=solution_scores(sizes, steps, how),
                )
                told.append(((*about, verifier, how), quality(scored, weights, spec.level)))
    write_result(files.verifiers, verifiers_csv(told))
    write_result(files.calibration, calibration_csv(told))


if __name__ == "__main__":
    run_main(main)
