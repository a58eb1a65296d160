"""What right samples say of coverage: where sizes cross, and a backtest from the first samples.

SPEC is the JSON of `isoflop.specs.CoverageSpec`; there is one table of counts per generator that it names, in
that order. Of samples drawn here the credits say how many are right. Crossings are told of counts alone. The
columns are described in docs/design/costs-and-fits.md.
"""

import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from isoflop.arrays import Ints
from isoflop.claims.coverage import (
    COVERAGE,
    Forecast,
    crossing_rows,
    crossings,
    forecast_rows,
    forecasts,
    mean_forecasts,
)
from isoflop.claims.pretraining import best_trained, pretraining_rows, trained_policies
from isoflop.errors import UserError, run_main
from isoflop.files import read_table, table_metadata
from isoflop.fits.evidence import Evidence, Series
from isoflop.fits.evidence_table import measured_schema, parameters, read_evidence
from isoflop.registries import COST_MODELS, FITTED_COSTS
from isoflop.results import write_result
from isoflop.seeds import derive_seed
from isoflop.specs import Backtest, CoverageSpec
from isoflop.stages.shared.command import File, StageCommand
from isoflop.strategy import Strategy
from isoflop.tables import COUNTS

_COMMAND = StageCommand(
    "coverage",
    __doc__,
    File("credits", "table of every credit"),
    File(
        "tables",
        "counts of each generator; crossings of counts, forecast, pretraining where it is known, to write",
        "+",
        "[COUNTS ... CROSSINGS] FORECAST [PRETRAINING]",
    ),
)


def main(arguments: Sequence[str]) -> None:
    """Write both tables; raises UserError on bad input."""
    given = _COMMAND.read(CoverageSpec, arguments)
    spec, files = given.spec, given.files
    count = len(spec.generators)
    counts, written = files.tables[:count], files.tables[count:]
    if len(written) != bool(count) + 1 + bool(spec.pretrained):
        raise _COMMAND.fault(
            f"{count} generators have as many tables of counts, and one to three are written"
        )
    further = [name for name in spec.costs if name not in FITTED_COSTS]
    credits = read_table(files.credits, measured_schema(further))
    evidence = read_evidence(credits, table_metadata(credits), files.credits, further)
    sizes = parameters(credits)
    crossed, predicted, trained = [], [], []
    for generator, path in zip(spec.generators, counts, strict=True):
        table = read_table(path, COUNTS)
        here = evidence[str(table_metadata(table)["dataset"])]
        found = list(crossings(here, generator, sizes, spec.families, spec.costs))
        crossed.append(crossing_rows(found, spec.experiment, here.dataset, generator))
        counted = []
        for policy, own in table.to_pandas().groupby("policy", sort=False):
            series = here.get(str(policy), Strategy(generator, COVERAGE))
            if series is None:
                raise UserError(f"{path}: policy {policy} has no coverage in {files.credits}; run again")
            counted.append(_Known(series, spec.fitted_to, *_in_order(own, here)))
        predicted.append(_predicted(spec, here, generator, counted))
        # Pretraining is FLOPs, and can be added to nothing else.
        flops = [cost for cost in spec.costs if COST_MODELS[cost].unit == "FLOPs"] if spec.pretrained else []
        met = {**sizes, **spec.trained_parameters}
        for cost in flops:
            known = here.under(cost)
            policies_trained = trained_policies(known, generator, met, spec.pretrained)
            for problems in spec.problems:
                best = list(best_trained(policies_trained, known, cost, problems)) if policies_trained else []
                trained.append(pretraining_rows(best, spec.experiment, here.dataset, generator, cost))
    for generator, backtests in spec.sampled.items():
        for here in evidence.values():
            drawn = [
                _of_samples(series, one)
                for policy, one in backtests.items()
                if (series := here.get(policy, Strategy(generator, COVERAGE))) is not None
            ]
            predicted.append(_predicted(spec, here, generator, drawn))
    rows_of = [crossed] * bool(count) + [predicted] + [trained] * bool(spec.pretrained)
    for path, rows in zip(written, rows_of, strict=True):
        write_result(path, pd.concat(rows, ignore_index=True).to_csv(index=False, lineterminator="\n"))
    print(
        f"coverage: {sum(map(len, crossed))} pairs of sizes, {sum(map(len, predicted))} forecasts",
        file=sys.stderr,
    )


class _Known(NamedTuple):
    """The coverage of one policy; how many samples are known; samples and right ones of every problem."""

    series: Series
    first: int
    samples: Ints
    correct: Ints


def _predicted(
    spec: CoverageSpec, evidence: Evidence, generator: str, known: Sequence[_Known]
) -> pd.DataFrame:
    """Backtests of one generator: of every policy, and their mean."""
    policies: list[list[Forecast]] = []
    for one in known:
        seed = derive_seed("coverage", spec.seed, generator, one.series.policy)
        if told := forecasts(one.series, (one.samples, one.correct), evidence, one.first, seed):
            policies.append(told)
    every = [one for told in [*policies, mean_forecasts(policies, evidence.level)] for one in told]
    return forecast_rows(every, spec.experiment, evidence.dataset, generator)


def _of_samples(series: Series, backtest: Backtest) -> _Known:
    """Of samples drawn here: the share of right ones is the coverage of a single one."""
    assert series.budgets[0] == 1  # others have no backtest
    right = np.rint(series.credits[0] * backtest.samples).astype(np.int64)
    return _Known(series, backtest.known, np.full_like(right, backtest.samples), right)


def _in_order(own: pd.DataFrame, evidence: Evidence) -> tuple[Ints, Ints]:
    """Samples and right ones of one policy in the order of the evidence's problems."""
    ordered = own.set_index("problem_id").loc[list(evidence.problems)]
    return ordered["samples"].to_numpy(np.int64), ordered["correct"].to_numpy(np.int64)


if __name__ == "__main__":
    run_main(main)
