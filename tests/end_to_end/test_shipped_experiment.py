"""The whole workflow, on the shipped models, as a user runs it; and the same after a kill in mid-run."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest
import yaml
from snakemake_runs import ROOT, Run, snakemake

from isoflop.claims.wu2024 import CLAIMS
from isoflop.tables import CURVES_COLUMNS

MODELS = ROOT / "resources" / "models"
POLICIES = ("policy-0.1M", "policy-0.9M")

CONFIG = {
    "experiment": "small",
    "seed": 11,
    "datasets": {"wordproblems": {"source": "wordproblems", "split": "test", "size": 30, "seed": 1}},
    "policies": {name: {"model": str(MODELS / name)} for name in POLICIES},
    "verifiers": {
        "prm": {"kind": "math-shepherd", "model": str(MODELS / "prm-1.7M"), "prompt": "{problem}\n"}
    },
    "generators": {
        "greedy": {"kind": "greedy", "max_tokens": 224},
        "sampling": {"kind": "sampling", "samples": 16, "max_tokens": 224},
        "rebase": {"kind": "rebase", "budgets": [4, 16], "runs": 2, "max_tokens": 224, "max_step_tokens": 64},
    },
    "budgets": [1, 2, 4, 8, 16],
    "selectors": ["majority", "weighted", "best_of_n", "pass"],
    "step_aggregations": ["last", "min", "product", "mean"],
    "headline": {"selector": "weighted", "step_aggregation": "last", "cost_model": "wu2024"},
    "bootstrap": {"draws": 200},
    "planning": {"gpu": "cpu", "prompt_tokens": 63, "solution_tokens": 87, "steps": 4},
    "engine_settings": {"chunk_problems": 5},
}


OPTIONS = ("--snakefile", str(ROOT / "Snakefile"), "--cores", "2", "--rerun-incomplete")


def configured(folder: Path) -> Path:
    (folder / "small.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False))
    return folder


def run(folder: Path, warmed: Mapping[str, str], *extra: str) -> Run:
    return snakemake(folder, *OPTIONS, "--configfile", "small.yaml", *extra, environment=warmed)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, warmed: Mapping[str, str]) -> Path:
    folder = configured(tmp_path_factory.mktemp("whole"))
    outcome = run(folder, warmed)
    assert outcome.code == 0, outcome.output
    return folder


def results(folder: Path) -> Path:
    return folder / "results" / "small"


def test_the_curves_table_keeps_its_contract(finished: Path) -> None:
    curves = pd.read_csv(
        results(finished) / "tables" / "curves.csv", keep_default_na=False, dtype={"subset": str}
    )
    assert tuple(curves.columns) == CURVES_COLUMNS
    assert set(curves["policy"]) == set(POLICIES)
    assert set(curves["subset"]) == {"all", "1", "2", "3", "4", "5"}
    assert ((curves["ci_low"] <= curves["accuracy"]) & (curves["accuracy"] <= curves["ci_high"])).all()
    assert (curves["ci_high"] > curves["ci_low"]).all()
    whole = curves[(curves["subset"] == "all") & (curves["generator"] == "sampling")]
    assert len(whole) == len(POLICIES) * 5 * (2 + 2 * 4)
    assert (whole["flops_total"] > whole["flops_kaplan"]).all()
    assert (whole["flops_kaplan"] > whole["flops_wu2024"]).all()
    ones = whole[whole["budget"] == 1].groupby("policy")["accuracy"]
    assert (ones.max() - ones.min() < 1e-9).all(), "one sample leaves nothing to select"
    tree = curves[(curves["subset"] == "all") & (curves["generator"] == "rebase")]
    assert len(tree) == len(POLICIES) * 2 * (2 + 2 * 4)
    assert tree["flops_wu2024"].gt(0).all()
    assert (tree["flops_total"] > tree["flops_kaplan"]).all()
    claims = pd.read_csv(results(finished) / "tables" / "claims.csv", keep_default_na=False)
    assert set(claims["claim"]) == set(CLAIMS)
    assert set(claims["verdict"]) <= {"supported", "contradicted", "mixed", "undecided", "not tested"}
    oracle = whole[whole["selector"] == "pass"].sort_values("budget").groupby("policy")["accuracy"]
    assert oracle.apply(lambda accuracy: accuracy.is_monotonic_increasing).all()


def accuracy(
    curves: pd.DataFrame, policy: str, selector: str, budget: int, generator: str = "sampling"
) -> float:
    chosen = curves[
        (curves["policy"] == policy)
        & (curves["generator"] == generator)
        & (curves["selector"] == selector)
        & curves["step_aggregation"].isin(["none", "last"])
        & (curves["subset"] == "all")
        & (curves["budget"] == budget)
    ]
    [value] = chosen["accuracy"]
    return float(value)


def test_a_larger_policy_more_samples_and_a_verifier_help(finished: Path) -> None:
    curves = pd.read_csv(results(finished) / "tables" / "curves.csv", keep_default_na=False)
    small, large = (accuracy(curves, policy, "majority", 1) for policy in POLICIES)
    assert large > small + 0.2
    for policy, one in zip(POLICIES, (small, large), strict=True):
        assert accuracy(curves, policy, "majority", 16) > one
        assert accuracy(curves, policy, "weighted", 16) > one + 0.05
        assert accuracy(curves, policy, "weighted", 16, "rebase") > one + 0.05
        assert accuracy(curves, policy, "pass", 16) > accuracy(curves, policy, "weighted", 16)


def test_everything_published_is_there(finished: Path) -> None:
    folder = results(finished)
    for ending in ("csv", "md", "tex"):
        assert (folder / "tables" / f"table4.{ending}").stat().st_size > 200
    for figure in (folder / "figures").glob("*.png"):
        assert figure.read_bytes().startswith(b"\x89PNG")
        assert figure.with_suffix(".svg").exists()
    assert len(list((folder / "figures").glob("*.png"))) >= 6
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "policy-0.9M" in report
    assert 'src="http' not in report
    log = (finished / "logs/small/sample/wordproblems/policy-0.9M/sampling.log").read_text()
    assert "tokens/s" in log.splitlines()[-1]


def test_the_plan_was_right_about_tokens_and_flops(finished: Path) -> None:
    rows = pd.read_csv(results(finished) / "tables" / "plan.csv")
    whole = rows[rows["policy"] == "all"].set_index(["stage", "quantity"])["ratio"]
    assert set(whole.index.get_level_values("stage")) == {"sample", "search", "score"}
    for stage, quantity in whole.index:
        if quantity != "seconds":
            assert 0.75 < whole[stage, quantity] < 1.33, (stage, quantity)
    assert "Plan and measurement" in (results(finished) / "tables" / "plan.md").read_text(encoding="utf-8")


def test_a_second_run_has_nothing_to_do(finished: Path, warmed: Mapping[str, str]) -> None:
    for extra in ([], ["--config", "shards=4"]):
        outcome = run(finished, warmed, *extra)
        assert outcome.code == 0
        assert "Nothing to be done" in outcome.output


def comparable(folder: Path) -> dict[str, bytes]:
    """All files of results but what a clock measured."""
    return {
        name: path.read_bytes()
        for path in sorted(results(folder).rglob("*"))
        if not path.is_dir()
        and not (name := str(path.relative_to(results(folder)))).startswith(("times/", "seconds/"))
        and ".times.json" not in name
    }


def test_a_run_killed_in_mid_sampling_ends_in_the_same_tables_in_shards(
    finished: Path, tmp_path: Path, warmed: Mapping[str, str]
) -> None:
    """The first run as a user starts it, its jobs with it; the second warm."""
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", *OPTIONS, "--configfile", "small.yaml"],
        cwd=configured(tmp_path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while not list(
        tmp_path.glob("results/small/sample/wordproblems/policy-0.9M/.sampling*.chunks/000001.parquet")
    ):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = list(tmp_path.glob("results/small/sample/wordproblems/policy-0.9M/.sampling*.chunks/*.parquet"))
    assert 2 <= len(kept) < 6
    assert not (results(tmp_path) / "tables").exists()

    assert run(tmp_path, warmed, "--unlock").code == 0
    outcome = run(tmp_path, warmed, "--config", "shards=2")
    assert outcome.code == 0, outcome.output
    logs = tmp_path / "logs/small/sample/wordproblems/policy-0.9M/sampling.shards"
    lines = [path.read_text().splitlines()[-1] for path in sorted(logs.iterdir())]
    solutions = [int(re.search(r": (\d+)/", line)[1]) for line in lines if (": " in line)]
    assert sum(solutions) == 16 * (30 - 5 * len(kept)), "what was sampled before the kill was taken up"
    assert not list((results(tmp_path) / "sample").rglob("*-of-*"))
    expected, found = comparable(finished), comparable(tmp_path)
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []
