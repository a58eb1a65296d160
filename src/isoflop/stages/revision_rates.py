"""Write how right and wrong answers change along chains of revisions.

There is one pair of tables for each pool that SPEC names, in that order.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from isoflop.errors import UserError, run_main
from isoflop.files import check_aligned, read_table
from isoflop.fits.bootstrap import problem_weights
from isoflop.fits.revision_rates import GradedChains, Rate, rates_csv, revision_rates
from isoflop.results import write_result
from isoflop.seeds import derive_seed
from isoflop.specs import RevisionRatesSpec
from isoflop.stages.shared.command import File, StageCommand
from isoflop.tables import CANDIDATES, GRADES

_COMMAND = StageCommand(
    "revision_rates",
    __doc__,
    File("pools", "each pool's candidates and their grades, in turn", many="*", shown="CANDIDATES GRADES"),
    File("out", "table of rates to write, CSV"),
)


def main(arguments: Sequence[str]) -> None:
    """Read every pool and write the table; raises UserError on bad input."""
    given = _COMMAND.read(RevisionRatesSpec, arguments)
    spec, pairs = given.spec, given.files.pools
    if len(pairs) != 2 * len(spec.pools):
        raise _COMMAND.fault(
            f"pools: the specification names {len(spec.pools)}, {len(pairs)} tables are given"
        )
    rows: list[tuple[Sequence[str], Rate]] = []
    for pool, candidates, grades in zip(spec.pools, pairs[::2], pairs[1::2], strict=True):
        chains, problems = read_chains(candidates, grades)
        seed = derive_seed("fit", spec.seed, pool.dataset)
        weights = problem_weights(problems, spec.draws, seed, "all")
        about = (spec.experiment, pool.dataset, pool.policy, pool.generator)
        rows += [(about, rate) for rate in revision_rates(chains, weights, spec.level)]
    write_result(given.files.out, rates_csv(rows))


def read_chains(candidates_path: str, grades_path: str) -> tuple[GradedChains, int]:
    """The graded chains, problems by identifier, and how many problems there are."""
    candidates, grades = read_table(candidates_path, CANDIDATES), read_table(grades_path, GRADES)
    check_aligned(grades, grades_path, candidates, candidates_path)
    if candidates["run"].null_count or candidates["budget"].null_count or not len(candidates):
        raise UserError(f"{candidates_path}: its candidates are no chains; delete it and run again")
    place = candidates["budget"].to_numpy() - 1
    chain = candidates["run"].to_numpy()
    names, problem = np.unique(candidates["problem_id"].to_numpy(zero_copy_only=False), return_inverse=True)
    shape = (names.size, int(chain.max()) + 1, int(place.max()) + 1)
    right, there = (np.zeros(shape, dtype=np.bool_) for _ in range(2))
    where: tuple[NDArray[np.int64], ...] = (problem, chain, place)
    right[where], there[where] = grades["correct"].to_numpy(), True
    return GradedChains(list(right), list(there)), names.size


if __name__ == "__main__":
    run_main(main)
