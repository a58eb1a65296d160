"""Credits to curves, scaling-law fits, differences, what figures draw, and the credits behind all of it.

Run by hand:

    python -m isoflop.stages.fit SPEC CREDITS... \\
        CURVES_CSV FITS_CSV DIFFERENCES_CSV DRAWS_PARQUET CREDITS_PARQUET

with SPEC the JSON of `isoflop.fits.curves.FitSpec` and one credits table per input it names, in that order.
"""

import sys
from collections.abc import Sequence

import pyarrow as pa
from pydantic import ValidationError

from isoflop.costs import ModelShape
from isoflop.errors import UserError
from isoflop.files import read_spec, read_table, run_stage, table_metadata, write_table, write_text
from isoflop.fits.curves import Curve, FitSpec, Resampling, build_curves, curves_csv
from isoflop.fits.differences import differences_csv
from isoflop.fits.draws import DRAWS, draws_columns
from isoflop.fits.evidence_table import measured_columns, measured_metadata
from isoflop.fits.tables import fit_all, fits_csv
from isoflop.tables import CREDITS, MEASURED

_OUTPUTS = 5


def main(arguments: Sequence[str]) -> None:
    """Read every credits table and write the five outputs; raises UserError on bad input."""
    if len(arguments) < _OUTPUTS + 2:
        raise UserError(
            "usage: python -m isoflop.stages.fit "
            "SPEC CREDITS... CURVES_CSV FITS_CSV DIFFERENCES_CSV DRAWS_PARQUET CREDITS_PARQUET"
        )
    spec = read_spec(FitSpec, arguments[0], "fit")
    paths, outputs = arguments[1:-_OUTPUTS], arguments[-_OUTPUTS:]
    if len(paths) != len(spec.inputs):
        raise UserError(
            f"inputs: the specification names {len(spec.inputs)} credits tables, {len(paths)} are given"
        )
    resampling = Resampling(spec.draws, spec.seed)
    curves: list[Curve] = []
    for about, path in zip(spec.inputs, paths, strict=True):
        table = read_table(path, CREDITS)
        params = _policy(table, path).parameters
        credits = table.to_pandas()
        curves += build_curves(credits, about, params, resampling, level=spec.level, source=path)
    outcome = fit_all(curves, spec.level, spec.families)
    write_text(outputs[0], curves_csv(curves, spec.experiment))
    write_text(outputs[1], fits_csv(outcome, curves, spec.experiment))
    write_text(
        outputs[2],
        differences_csv(curves, spec.experiment, spec.level, families=spec.families, searches=spec.searches),
    )
    metadata: dict[str, object] = {"experiment": spec.experiment, "level": spec.level, "draws": spec.draws}
    write_table(outputs[3], draws_columns(outcome, curves, spec.level, spec.families), DRAWS, metadata)
    behind = {"experiment": spec.experiment, **measured_metadata(resampling, spec.level)}
    write_table(outputs[4], measured_columns(curves), MEASURED, behind)
    _report(curves, [named.fit.status for named in outcome.fits])


def _policy(table: pa.Table, path: str) -> ModelShape:
    metadata = table_metadata(table)
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
    run_stage(main)
