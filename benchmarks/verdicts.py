"""How often every sentence of a report is false, in planted worlds whose truth is known.

    OMP_NUM_THREADS=1 python benchmarks/verdicts.py [--draws 400] [--jobs 2] [--quick] [--only WORLD ...]
        [--out docs/design/verdicts-bench.csv]

Draws so many studies of every world of isoflop.bench_worlds at its numbers of problems, lets the report judge
each, and compares with the world's truth. Every row of the table is one sentence in one world: the share of
studies in which it is false, decided and right, the coverage of its 95% intervals, each with its Monte Carlo
interval. `--quick` draws 40 of each. docs/design/verdicts.md reads the table.
"""

import argparse
import csv
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

from isoflop.bench_worlds import Case, cases, setting
from isoflop.verdict_bench import Tally, Truth, rate, score_study
from isoflop.verdicts import CONTRADICTED, MIXED, NOT_TESTED, SUPPORTED, UNDECIDED

COLUMNS = (
    "world", "problems", "sentence", "studies", "false", "false_low", "false_high", "right", "right_low",
    "right_high", "supported", "contradicted", "mixed", "told", "undecided", "not_tested", "coverage",
    "intervals",
)  # fmt: skip
CHUNK = 20
RESAMPLES = 200


@cache
def known(name: str) -> tuple[Case, Truth]:
    case = next(one for one in cases() if one.name == name)
    return case, Truth(case.world.truth, setting(case.world), thorough=case.thorough)


def chunk(name: str, problems: int, first: int, count: int) -> tuple[str, int, dict[str, Tally]]:
    case, truth = known(name)
    about, tallies = setting(case.world), dict[str, Tally]()
    for seed in range(first, first + count):
        score_study(tallies, case.world.study(problems, seed, RESAMPLES), truth, about)
    return name, problems, tallies


def rows(found: dict[tuple[str, int], dict[str, Tally]]) -> Iterator[list[str]]:
    for (world, problems), tallies in found.items():
        for sentence, tally in tallies.items():
            if tally.said.get(NOT_TESTED, 0) == tally.studies:
                continue
            shares = [rate(count, tally.studies) for count in (tally.false, tally.right)]
            said = [
                f"{tally.said.get(verdict, 0) / tally.studies:.3f}"
                for verdict in (SUPPORTED, CONTRADICTED, MIXED, "told", UNDECIDED, NOT_TESTED)
            ]
            covered = f"{tally.covered / tally.intervals:.3f}" if tally.intervals else ""
            numbers = [f"{number:.3f}" for share in shares for number in share]
            yield [world, str(problems), sentence, str(tally.studies), *numbers, *said, covered,
                   str(tally.intervals)]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="*", default=[], help="worlds whose names hold one of these")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    draws = 40 if options.quick else options.draws
    wanted = [one for one in cases() if not options.only or any(part in one.name for part in options.only)]
    tasks = [
        (case.name, problems, first, min(CHUNK, draws - first))
        for case in wanted
        for problems in case.problems
        for first in range(0, draws, CHUNK)
    ]
    began = time.monotonic()
    found: dict[tuple[str, int], dict[str, Tally]] = {}
    with ProcessPoolExecutor(options.jobs) as workers:
        for name, problems, tallies in workers.map(chunk, *zip(*tasks, strict=True)):
            whole = found.setdefault((name, problems), {})
            for sentence, tally in tallies.items():
                whole.setdefault(sentence, Tally()).merge(tally)
    table = list(rows(found))
    for row in table:
        print(" | ".join(row))
    print(f"{len(tasks)} chunks in {time.monotonic() - began:.0f} s")
    if options.out:
        with options.out.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(table)


if __name__ == "__main__":
    main()
