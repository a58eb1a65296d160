"""The published tables of a study, as read."""

import io
from pathlib import Path

import pandas as pd

from isoflop.errors import UserError
from isoflop.files import read_table, table_metadata
from isoflop.fits.draws import DRAWS
from isoflop.fits.evidence_table import measured_schema, parameters, read_evidence
from isoflop.report.lookup import Choice, Coverage, Revised, Tables, Verified, without_length
from isoflop.report.spec import FORECAST_TABLES, PRETRAINING_TABLES, SIZE_TABLES, ReportSpec
from isoflop.results import read_result
from isoflop.tables import COUNTS

_KEYS = (
    "experiment", "dataset", "policy", "generator", "verifier", "selector", "step_aggregation", "subset",
    "cost_model", "fit", "parameter", "status", "note", "comparison", "right_budget", "claim", "row",
    "sentence", "quantifier", "interval", "decided", "problems_to_decide", "left", "right", "bin",
    "difficulty", "axis", "strategy", "family", "small", "large", "chosen", "baseline", "part", "statistic",
    "verdict", "place", "measure", "outcome",
)  # fmt: skip


def read_tables(results: Path, spec: ReportSpec) -> Tables:
    """The tables under `results`, of the stages that the study has; chains of revisions are on their own."""
    curves = read_csv(results / "tables" / "curves.csv")
    draws = read_table(results / "fit" / "draws.parquet", DRAWS)
    path = str(results / "fit" / "credits.parquet")
    measured = read_table(path, measured_schema(spec.further_costs))
    revised = None
    if spec.revisions:
        chains = without_length(curves["generator"]).isin(list(spec.revisions))
        revised = Revised(curves[chains], read_csv(results / "tables" / "revisions.csv"))
        # Rows keep their numbers, which are those of the draws.
        curves = curves[curves["generator"].isin(spec.generators) & curves["policy"].isin(spec.policies)]
    return Tables(
        curves=curves,
        fits=read_csv(results / "tables" / "fits.csv"),
        differences=read_csv(results / "tables" / "differences.csv"),
        draws=draws.to_pandas(),
        evidence=read_evidence(measured, table_metadata(measured), path, spec.further_costs),
        parameters=parameters(measured),
        choice=_choice(results) if spec.choice else None,
        revised=revised,
        coverage=_coverage(results, spec) if spec.counted or spec.forecast else None,
        verified=_verified(results) if spec.scored else None,
    )


def _coverage(results: Path, spec: ReportSpec) -> Coverage:
    """The tables that the coverage stage wrote, and what those of the counts say beside them."""
    [forecast] = (read_csv(results / "tables" / name) for name in FORECAST_TABLES)
    sizes = SIZE_TABLES if spec.counted else ()
    crossings = next((read_csv(results / "tables" / name) for name in sizes), None)
    counts = (read_table(results / "counts" / f"{name}.parquet", COUNTS) for name in spec.counted)
    found = (table_metadata(table).get("unequal") for table in counts)
    unequal = {str(policy) for policies in found if isinstance(policies, list) for policy in policies}
    names = PRETRAINING_TABLES if spec.pretraining else ()
    pretraining = next((read_csv(results / "tables" / name) for name in names), None)
    return Coverage(crossings, forecast, tuple(sorted(unequal)), pretraining)


def _choice(results: Path) -> Choice:
    """The tables that the allocate stage wrote."""
    names = ("by_difficulty", "compute_optimal", "exchange", "claims_snell2024", "exchange_curves")
    return Choice(*(read_csv(results / "tables" / f"{name}.csv") for name in names))


def _verified(results: Path) -> Verified:
    """The tables that the verifier_quality stage wrote."""
    names = ("verifiers", "calibration")
    return Verified(*(read_csv(results / "tables" / f"{name}.csv") for name in names))


def read_csv(path: Path) -> pd.DataFrame:
    """A table whose names stay text, even a level `1` or a model called `NA`; empty cells are NaN."""
    content = io.BytesIO(read_result(path))
    try:
        return pd.read_csv(content, dtype=dict.fromkeys(_KEYS, str), keep_default_na=False, na_values=[""])
    except (ValueError, OverflowError) as error:
        raise UserError(f"{path}: cannot be read as CSV ({error}); delete it and run again") from error
