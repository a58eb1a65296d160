"""Credits to curves, scaling-law fits, differences, what figures draw, and the credits behind all of it.

SPEC is the JSON of `isoflop.fits.curves.FitSpec`, with one credits table per input it names, in that order.
"""

import sys
from collections.abc import Sequence

import pyarrow as pa
from pydantic import ValidationError

from isoflop.costs.shape import ModelShape
from isoflop.errors import UserError, run_main
from isoflop.files import read_table, table_metadata, write_table
from isoflop.fits.bootstrap import Resampling, common_problems
from isoflop.fits.curves import Curve, FitSpec, build_curves, curves_csv
from isoflop.fits.differences import differences_csv
from isoflop.fits.draws import DRAWS, draws_columns
from isoflop.fits.evidence_table import measured_columns, measured_metadata, measured_schema
from isoflop.fits.tables import fit_all, fits_csv
from isoflop.registries import cost_columns, measured_costs
from isoflop.results import write_result
from isoflop.stages.shared.command import File, StageCommand
from isoflop.tables import CREDITS, with_columns

_COMMAND = StageCommand(
    "fit",
    __doc__,
    File("pools", "credits table of each input", many="+", shown="CREDITS"),
    File("curves", "curves to write, CSV"),
    File("fits", "fits to write, CSV"),
    File("differences", "differences to write, CSV"),
    File("draws", "what figures draw, to write as Parquet"),
    File("credits", "the credits behind all of it, to write as Parquet"),
)


def main(arguments: Sequence[str]) -> None:
    """Read every credits table and write the five outputs; raises UserError on bad input."""
    given = _COMMAND.read(FitSpec, arguments)
    spec, files = given.spec, given.files
    if len(files.pools) != len(spec.inputs):
        raise UserError(
            f"inputs: the specification names {len(spec.inputs)} credits tables, {len(files.pools)} are given"
        )
    resampling = Resampling(spec.draws, spec.seed)
    curves: list[Curve] = []
    columns = with_columns(CREDITS, cost_columns(measured_costs(spec.costs)))
    tables = [read_table(path, columns) for path in files.pools]
    frames = [table.to_pandas() for table in tables]
    if spec.common:
        frames = common_problems([about.dataset for about in spec.inputs], frames)
    for about, path, table, credits in zip(spec.inputs, files.pools, tables, frames, strict=True):
        policy = _policy(table, path)
        curves += build_curves(
            credits,
            about,
            None if policy is None else policy.parameters,
            resampling,
            level=spec.level,
            source=path,
            costs=spec.costs,
        )
    outcome = fit_all(curves, spec.level, spec.families, spec.costs)
    write_result(files.curves, curves_csv(curves, spec.experiment, spec.costs))
    write_result(files.fits, fits_csv(outcome, curves, spec.experiment))
    write_result(
        files.differences,
        differences_csv(
            curves,
            spec.experiment,
            spec.level,
            families=spec.families,
            searches=spec.searches,
            costs=spec.costs,
            published=spec.published_searches,
            thinking=spec.thinking,
        ),
    )
    metadata: dict[str, object] = {"experiment": spec.experiment, "level": spec.level, "draws": spec.draws}
    drawn = draws_columns(outcome, curves, spec.level, spec.families, spec.costs)
    write_table(files.draws, drawn, DRAWS, metadata)
    behind = {"experiment": spec.experiment, **measured_metadata(resampling, spec.level)}
    write_table(files.credits, measured_columns(curves, spec.costs), measured_schema(spec.costs), behind)
    _report(curves, [named.fit.status for named in outcome.fits])


def _policy(table: pa.Table, path: str) -> ModelShape | None:
    """The shape of the policy; None where the table says that nobody knows it."""
    metadata = table_metadata(table)
    if "policy" in metadata and metadata["policy"] is None:
        return None
    try:
        return ModelShape.model_validate(metadata.get("policy"))
    except ValidationError as error:
        raise UserError(
            f"{path}: its metadata has no valid shape of the policy under 'policy'; "
            "delete the file and run again"
        ) from error


def _report(curves: Sequence[Curve], statuses: Sequence[str]) -> None:
    """One line for the log: how much was fitted, and how the fits ended."""
    counts = {status: statuses.count(status) for status in sorted(set(statuses))}
    ended = ", ".join(f"{count} {status}" for status, count in counts.items()) or "none"
    print(f"{len(curves)} curves; fits: {ended}", file=sys.stderr)


if __name__ == "__main__":
    run_main(main)
