"""The shipped study of revisions, with fewer problems and answers: from the shipped models to the report."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest
import yaml
from snakemake_runs import ROOT, study

SMALLER = {
    "datasets": {"wordproblems": {"size": 30}},
    "generators": {"sampling": {"samples": 8}, "revisions": {"chains": 8, "length": 4, "largest": 8}},
    "budgets": [1, 2, 4, 8],
    "difficulty": {"bins": 2},
    "bootstrap": {"draws": 100},
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, warmed: Mapping[str, str]) -> Path:
    folder = tmp_path_factory.mktemp("revisions")
    (folder / "resources").symlink_to(ROOT / "resources")
    (folder / "smaller.yaml").write_text(yaml.safe_dump(SMALLER))
    configs = (str(ROOT / "configs/shipped-revisions.yaml"), "smaller.yaml")
    done = study(folder, *configs, warmed=warmed)
    assert done.code == 0, done.output[-4000:]
    return folder / "results/shipped-revisions"


def test_the_shipped_model_corrects_more_than_it_breaks(results: Path) -> None:
    rates = pd.read_csv(results / "tables/revisions.csv")
    overall = rates[rates["place"] == "all"].set_index("measure")["value"]
    assert 0.05 < overall["correct to incorrect"] < 0.25
    assert overall["incorrect to correct"] > overall["correct to incorrect"]
    # The paper's definition, from the answers themselves: a mistake in the table would be one here too.
    pool = "wordproblems/revision-0.9M/revisions.parquet"
    keys = ["problem_id", "candidate"]
    answers = pd.read_parquet(results / "sample" / pool).merge(
        pd.read_parquet(results / "grade" / pool)[[*keys, "correct"]], on=keys
    )
    ordered = answers.sort_values(["problem_id", "run", "budget"])
    before = ordered.groupby(["problem_id", "run"])["correct"].shift()
    broken = ordered[before == True]["correct"]  # noqa: E712  None at the first place
    assert overall["correct to incorrect"] == pytest.approx(1 - broken.mean(), abs=1e-6)


def test_every_ratio_has_its_credits_and_the_report_its_figures(results: Path) -> None:
    curves = pd.read_csv(results / "tables/curves.csv", keep_default_na=False)
    chains = curves[(curves["subset"] == "all") & curves["generator"].str.startswith("revisions/")]
    ratios = set(zip(chains["generator"], chains["budget"], strict=True))
    lengths = {1: (1, 2, 4, 8), 2: (2, 4, 8), 4: (4, 8)}
    assert ratios == {(f"revisions/{length}", n) for length, budgets in lengths.items() for n in budgets}
    assert set(chains["verifier"]) == {"none", "orm", "orm-history", "prm"}
    html = (results / "report.html").read_text(encoding="utf-8")
    for words in (
        "A revision by revision-0.9M",
        "The ratio of sequential to parallel",
        "Verifiers of revisions",
    ):
        assert words in html
