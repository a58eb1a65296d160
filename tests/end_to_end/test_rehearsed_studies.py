"""The papers' studies from end to end, with tiny random models in the place of theirs."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from snakemake_runs import ROOT, snakemake

from isoflop.config.loading import load_config, read_yaml
from isoflop.pipeline.plan import Plan
from isoflop.pipeline.plan_report import ReportPlan
from isoflop.rehearsal.run import prepare_checked

# One policy of each way through wu2024: trained here, limited in its budgets, in a chat and on programs.
KEPT = ("pythia-410m", "llama-3-8b", "llemma-34b")


def written(name: str, folder: Path) -> Path:
    """The shipped config; of wu2024 those policies that differ in more than size."""
    raw: dict[str, Any] = read_yaml(ROOT / f"configs/{name}.yaml")
    if name == "wu2024":
        raw["policies"] = {policy: raw["policies"][policy] for policy in KEPT}
        raw["training"] = {"pythia-410m": raw["training"]["pythia-410m"]}
        raw["generators"]["mcts"]["only"]["policies"] = ["llemma-34b"]
        mapped = raw["published"]["policies"]
        raw["published"]["policies"] = {theirs: ours for theirs, ours in mapped.items() if ours in KEPT}
        raw["published"]["files"] = [str(ROOT / path) for path in raw["published"]["files"]]
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return path


def by_command(config: Path, folder: Path) -> None:
    """As a user does it."""
    run = subprocess.run(
        [*(sys.executable, "-m", "isoflop.cli", "rehearse", str(config), "made", "--"), *OPTIONS],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]


# Programs may run here where there is no sandbox: they are the rehearsal's own.
OPTIONS = (
    *("--snakefile", str(ROOT / "Snakefile"), "--cores", "2"),
    *("--config", "engine_settings={allow_unsandboxed: true}"),
)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", ["wu2024", "snell2024", "beeching2024"])
def test_a_papers_study_runs_with_its_models_swapped_by_one_override(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warmed: Mapping[str, str]
) -> None:
    config = written(name, tmp_path)
    if name == "wu2024":
        by_command(config, tmp_path)
    else:
        monkeypatch.chdir(tmp_path)
        override = prepare_checked(str(config), "made", "transformers")
        done = snakemake(tmp_path, *OPTIONS, "--configfile", str(config), str(override), environment=warmed)
        assert done.code == 0, done.output[-6000:]
    results = tmp_path / "results" / f"rehearsal-{name}"
    rehearsed = load_config([config, tmp_path / "made/override.yaml"], root=tmp_path)
    plan = Plan(rehearsed, tmp_path)
    for path in ReportPlan(plan).targets():
        assert (tmp_path / path).exists(), path
    curves = pd.read_csv(results / "tables/curves.csv", keep_default_na=False, dtype={"subset": str})
    pools = set(map(tuple, curves[["dataset", "policy", "generator"]].drop_duplicates().to_numpy().tolist()))
    assert pools == set(map(tuple, plan.pools.picked()))
    # Random solutions: some right, some wrong, and more than one answer.
    assert curves["accuracy"].nunique() > 2
    grades = pd.concat(pd.read_parquet(path) for path in (results / "grade").rglob("*.parquet"))
    assert {True, False} <= set(grades["correct"])
    if name == "snell2024":
        by_bin = pd.read_csv(results / "tables/compute_optimal.csv")
        assert {"search", "ratios"} <= set(by_bin["family"])
        exchanged = pd.read_csv(results / "tables/exchange.csv")
        assert {"qwen2.5-0.5b", "revision-0.5b"} == set(exchanged["small"])
        learnt = pd.read_parquet(results / "trajectories/attempts.parquet")
        assert 0 < len(learnt) <= 8
        planned = pd.read_csv(results / "tables/plan.csv")
        assert {"sample", "revise", "search", "score", "interval"} == set(planned["stage"])
    if name == "wu2024":
        programs = pd.concat(pd.read_parquet(path) for path in (results / "grade/mbpp").rglob("*.parquet"))
        assert {True, False} <= set(programs["correct"])
        compared = pd.read_csv(results / "tables/published.csv")
        assert len(compared) == 70
        card = (results / "train/pythia-410m/README.md").read_text()
        assert "metamath-gsm8k" in card
