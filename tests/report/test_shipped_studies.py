"""Committed studies can be computed again from their credits: curves, differences, gains and claims."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from isoflop.claims.gains import all_gains, gains_csv
from isoflop.claims.wu2024 import wu_claims
from isoflop.config.loading import load_config
from isoflop.files import read_table, table_metadata
from isoflop.fits.bootstrap import accuracy_interval, difference_interval
from isoflop.fits.evidence import Evidence
from isoflop.fits.evidence_table import parameters, read_evidence
from isoflop.pipeline.plan import Plan
from isoflop.pipeline.plan_report import ReportPlan
from isoflop.report.lookup import Tables, largest_common_budget, setting, without_length
from isoflop.report.spec import ReportSpec
from isoflop.strategy import Strategy
from isoflop.tables import MEASURED
from isoflop.verdicts.judge import claims_csv

ROOT = Path(__file__).parents[2]
STUDIES = sorted(path.parent for path in (ROOT / "docs/studies").glob("*/credits.parquet"))
CONFIGS = {"shipped": "config.yaml"}
_EMPTY = pd.DataFrame()
# Six decimals are printed, and costs have six digits in curves.csv.
_LAST = 6e-7


@dataclass(frozen=True)
class Study:
    """What a study committed, as read."""

    folder: Path
    spec: ReportSpec
    evidence: dict[str, Evidence]
    tables: Tables

    def committed(self, name: str) -> pd.DataFrame:
        """A committed table, every cell as its text."""
        return pd.read_csv(self.folder / f"{name}.csv", dtype=str, keep_default_na=False)


@pytest.fixture(scope="module", params=STUDIES, ids=lambda folder: folder.name)
def study(request: pytest.FixtureRequest) -> Study:
    folder: Path = request.param
    config = load_config([ROOT / CONFIGS.get(folder.name, f"configs/{folder.name}.yaml")], root=ROOT)
    spec = ReportSpec.model_validate_json(ReportPlan(Plan(config, ROOT)).report())
    path = folder / "credits.parquet"
    table = read_table(str(path), MEASURED, further=True)
    evidence = read_evidence(table, table_metadata(table), str(path), spec.further_costs)
    curves = pd.read_csv(folder / "curves.csv", dtype={"subset": str}, keep_default_na=False)
    chains = without_length(curves["generator"]).isin(list(spec.revisions))
    curves = curves[~chains & curves["policy"].isin(spec.policies)]
    tables = Tables(curves, _EMPTY, _EMPTY, _EMPTY, evidence=evidence, parameters=parameters(table))
    return Study(folder, spec, evidence, tables)


def test_there_are_studies_with_credits() -> None:
    assert {folder.name for folder in STUDIES} >= {"shipped"}


def test_curves_are_means_of_the_credits(study: Study) -> None:
    rows = study.committed("curves")
    rows = rows[rows["subset"] == "all"]
    for row in rows.to_dict("records"):
        evidence = study.evidence[row["dataset"]]
        series = evidence.get(row["policy"], _strategy(row))
        assert series is not None
        credits = series.at_budget(int(row["budget"]))
        assert credits is not None
        low, high = accuracy_interval(credits, evidence.weights, evidence.level)
        found = [float(row[name]) for name in ("accuracy", "ci_low", "ci_high")]
        assert found == pytest.approx([credits.mean(), low, high], abs=_LAST)
    assert len(rows) == pq.read_metadata(study.folder / "credits.parquet").num_rows


def test_differences_are_paired_over_the_problems(study: Study) -> None:
    """Those between two measured points; at equal compute one side lies between two."""
    rows = study.committed("differences")
    rows = rows[rows["cost_model"] == ""]
    # Of counts there are only those between budgets and between sizes.
    assert len(rows) > (10 if study.spec.covers else 100)
    for row in rows.to_dict("records"):
        evidence = study.evidence[row["dataset"]]
        sides = []
        for side, budget in (("left", "budget"), ("right", "right_budget")):
            policy, generator, verifier, selector, aggregation = _split(row[side])
            series = evidence.get(policy, Strategy(generator, selector, verifier, aggregation))
            assert series is not None
            sides.append(series.at_budget(int(row[budget])))
        assert sides[0] is not None
        assert sides[1] is not None
        low, high = difference_interval(sides[0], sides[1], evidence.weights, evidence.level)
        found = [float(row[name]) for name in ("difference", "ci_low", "ci_high")]
        assert found == pytest.approx([(sides[0] - sides[1]).mean(), low, high], abs=_LAST)


def test_claims_follow_from_the_credits(study: Study) -> None:
    about = setting(study.tables, study.spec)
    judged = [one for name in study.spec.datasets for one in wu_claims(study.evidence[name], about)]
    again = claims_csv(judged, study.spec.experiment)
    committed = study.committed("claims")
    numbers = ["value", "ci_low", "ci_high"]
    texts = [name for name in again.columns if name not in numbers]
    pd.testing.assert_frame_equal(again[texts], committed[texts])
    for name in numbers:
        one, other = (pd.to_numeric(table[name]).to_numpy() for table in (again, committed))
        assert np.allclose(one, other, rtol=1e-3, atol=1e-9, equal_nan=True)


def test_the_headlines_gains_follow_from_the_credits(study: Study) -> None:
    about = setting(study.tables, study.spec)
    budget = largest_common_budget(study.tables.curves, study.spec)
    gains = {
        name: list(all_gains(study.evidence[name], about, study.spec.search_names, budget))
        for name in study.spec.datasets
    }
    again, committed = gains_csv(gains, study.spec.experiment), study.committed("headline")
    texts = ["sentence", "strategy", "budget", "part", "cost_model"]
    # A table without gains has no types.
    pd.testing.assert_frame_equal(again[texts], committed[texts], check_dtype=len(again) > 0)
    for name in ("gain", "gain_low", "gain_high"):
        assert np.allclose(again[name].astype(float), committed[name].astype(float), atol=2e-6)


def _strategy(row: Mapping[Any, Any]) -> Strategy:
    return Strategy(row["generator"], row["selector"], row["verifier"], row["step_aggregation"])


def _split(label: str) -> tuple[str, str, str, str, str]:
    """Of `policy/generator/verifier/selector/step_aggregation`, where the generator may be `revisions/4`."""
    policy, *generator, verifier, selector, aggregation = label.split("/")
    return policy, "/".join(generator), verifier, selector, aggregation
