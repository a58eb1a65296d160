"""How often every sentence of a report is false, in planted worlds whose truth is known.

    OMP_NUM_THREADS=1 python benchmarks/verdicts.py [--draws 400] [--jobs 2] [--quick] [--only WORLD ...]
        [--sentences START ...] [--out docs/design/verdicts-bench.csv] [--page docs/design/verdicts.md]

Draws so many studies of every world of isoflop.planted.cases at its numbers of problems, lets the report
judge each, and compares with the world's truth. Every row of the table is one sentence in one world: the
share of studies in which it is false, decided and right, the coverage of its 95% intervals, each with its
Monte Carlo interval. `--quick` draws 40 of each. Rows of worlds and sentences that are not asked for stay as
they are. docs/design/verdicts.md reads the table.
"""

import argparse
import csv
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

from isoflop.fits.bootstrap import problem_weights
from isoflop.fits.revision_rates import revision_rates
from isoflop.planted.bench import Truth, score_chains, score_choices, score_choosing, score_study
from isoflop.planted.bench_page import with_tables
from isoflop.planted.cases import Case, cases, setting
from isoflop.planted.chains import CHAIN_WORLDS
from isoflop.planted.choices import (
    choice_claims,
    choice_spec,
    choice_study,
    expected_gains,
    measured_pairs,
    told_choices,
    true_pairs,
)
from isoflop.planted.tally import Tally, rate
from isoflop.verdicts.judge import CONTRADICTED, MIXED, NOT_TESTED, SUPPORTED, UNDECIDED, Claim

COLUMNS = (
    "world", "problems", "sentence", "studies", "false", "false_low", "false_high", "right", "right_low",
    "right_high", "supported", "contradicted", "mixed", "told", "undecided", "not_tested", "coverage",
    "intervals",
)  # fmt: skip
CHUNK = 20
RESAMPLES = 200
CHOICE_RESAMPLES = 100
# Studies that tell what choosing is expected to gain.
OTHER_STUDIES = 200

Tallies = dict[str, Tally]


@cache
def known(name: str) -> tuple[Case, Truth]:
    case = next(one for one in cases() if one.name == name)
    return case, Truth(case.world.truth, setting(case.world), thorough=case.thorough)


@cache
def known_choices(
    name: str, problems: int
) -> tuple[Case, dict[tuple[int, str], Claim], dict[str, dict[str, float]]]:
    case = next(one for one in cases() if one.name == name)
    spec = choice_spec(case.world, case.families, 2)
    judged = choice_claims(choice_study(true_pairs(case.world), spec), spec)
    claims = {(one.claim.number, one.claim.cost_model): one.claim for one in judged}
    return case, claims, expected_gains(case.world, problems, spec, OTHER_STUDIES)


def chunk(name: str, problems: int, seeds: range) -> Tallies:
    """What is said in the studies of these seeds, of any kind of world."""
    tallies: Tallies = {}
    chains = next((one for one in CHAIN_WORLDS if one.name == name), None)
    if chains is not None:
        for seed in seeds:
            weights = problem_weights(problems, RESAMPLES, seed, name)
            score_chains(
                tallies, revision_rates(chains.graded(problems, seed), weights, 0.95), chains.truth()
            )
        return tallies
    if next(case for case in cases() if case.name == name).families:
        case, claims, expected = known_choices(name, problems)
        spec = choice_spec(case.world, case.families, CHOICE_RESAMPLES)
        for seed in seeds:
            found = choice_study(measured_pairs(case.world, problems, seed), spec)
            score_choices(tallies, choice_claims(found, spec), claims)
            score_choosing(tallies, told_choices(found.studied, spec), expected)
        return tallies
    case, truth = known(name)
    about = setting(case.world)
    for seed in seeds:
        score_study(tallies, case.world.study(problems, seed, RESAMPLES), truth, about)
    return tallies


def rows(world: str, problems: int, tallies: Tallies) -> Iterator[dict[str, str]]:
    for sentence, tally in tallies.items():
        if tally.said.get(NOT_TESTED, 0) == tally.studies:
            continue
        row = {"world": world, "problems": str(problems), "sentence": sentence, "studies": str(tally.studies)}
        for name, count in (("false", tally.false), ("right", tally.right)):
            share = rate(count, tally.studies)
            row |= {name: f"{share.share:.3f}", f"{name}_low": f"{share.low:.3f}"}
            row[f"{name}_high"] = f"{share.high:.3f}"
        for verdict in (SUPPORTED, CONTRADICTED, MIXED, "told", UNDECIDED, NOT_TESTED):
            row[verdict.replace(" ", "_")] = f"{tally.said.get(verdict, 0) / tally.studies:.3f}"
        row["coverage"] = f"{tally.covered / tally.intervals:.3f}" if tally.intervals else ""
        yield row | {"intervals": str(tally.intervals)}


def worlds() -> list[tuple[str, tuple[int, ...]]]:
    """Every world by name, and at how many problems it is studied."""
    return [*((case.name, case.problems) for case in cases()), *((one.name, (200,)) for one in CHAIN_WORLDS)]


def save(path: Path, world: str, problems: int, found: list[dict[str, str]], starts: tuple[str, ...]) -> None:
    """The table with these rows in place of those of the same world, number of problems and sentences."""
    kept: list[dict[str, str]] = []
    if path.exists():
        with path.open(newline="") as file:
            kept = [
                row
                for row in csv.DictReader(file)
                if (row["world"], row["problems"]) != (world, str(problems))
                or not row["sentence"].startswith(starts)
            ]
    order = {name: place for place, (name, _) in enumerate(worlds())}
    kept = sorted(kept + found, key=lambda row: (order.get(row["world"], -1), int(row["problems"])))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="*", default=[], help="worlds whose names start so")
    parser.add_argument("--sentences", nargs="*", default=[""], help="sentences that start so")
    parser.add_argument("--out", type=Path, help="CSV; rows of other worlds that it has are kept")
    parser.add_argument("--page", type=Path, help="Markdown whose tables are made again of --out")
    options = parser.parse_args()
    draws = 40 if options.quick else options.draws
    with ProcessPoolExecutor(options.jobs) as workers:
        for name, numbers in worlds():
            wanted = not options.only or any(name.startswith(part) for part in options.only)
            if not draws or not wanted:
                continue
            for problems in numbers:
                began = time.monotonic()
                parts = [range(first, min(first + CHUNK, draws)) for first in range(0, draws, CHUNK)]
                names, sizes = [name] * len(parts), [problems] * len(parts)
                whole: Tallies = {}
                for tallies in workers.map(chunk, names, sizes, parts):
                    for sentence, tally in tallies.items():
                        whole.setdefault(sentence, Tally()).merge(tally)
                starts = tuple(options.sentences)
                found = [row for row in rows(name, problems, whole) if row["sentence"].startswith(starts)]
                print(f"{name}, {problems} problems: {time.monotonic() - began:.0f} s", flush=True)
                for row in found:
                    shown = " ".join(
                        f"{column} {row[column]}"
                        for column in COLUMNS[4:]
                        if row[column] not in ("", "0.000")
                    )
                    print(f"  {row['sentence']}: {shown}", flush=True)
                if options.out:
                    save(options.out, name, problems, found, starts)
    if options.page:
        with options.out.open(newline="") as file:
            page = with_tables(options.page.read_text(encoding="utf-8"), list(csv.DictReader(file)))
        options.page.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
