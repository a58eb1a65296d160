"""Logs of inspect_ai as a study: a small true one, and the shipped one on the published logs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from snakemake_runs import ROOT, study

LOG = ROOT / "tests" / "cases" / "inspect" / "sums.eval"
DATA = ROOT.parent / "shared" / "data" / "otis-aime"
EXPERIMENT = "thinking-otis-aime"


def source(policy: str, scorer: str, **rest: Any) -> dict[str, Any]:
    return {
        "policy": policy,
        "files": [{"path": "sums.eval"}],
        "log": {"model": "mockllm/model", "scorer": scorer},
    } | rest


def small_study(folder: Path, **generator: Any) -> str:
    (folder / "sums.eval").write_bytes(LOG.read_bytes())
    config: dict[str, Any] = {
        "experiment": "sums",
        "seed": 1,
        "datasets": {
            "sums": {
                "source": "file",
                "path": "sums.eval",
                "fields": {"prompt": "input", "answer": "target", "id": "id"},
                "where": {"epoch": ["1"]},
                "grader": "number",
            }
        },
        "policies": {"short": {"hosted": True}, "long": {"hosted": True}},
        "generators": {
            "logs": {
                "kind": "import",
                "format": "inspect",
                "dataset": "sums",
                "at_least": 3,
                "sources": [source("short", "exact"), source("long", "includes")],
            }
            | generator
        },
        "budgets": [1, 2, 3],
        "selectors": ["majority", "pass"],
        "headline": {"selector": "majority", "cost_model": "tokens"},
        "costs": ["tokens", "seconds"],
        "thinking": {"mock": ["short", "long"]},
        "bootstrap": {"draws": 100},
    }
    (folder / "sums.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return str(folder / "sums.yaml")


def test_a_true_log_becomes_a_report(tmp_path: Path, warmed: Mapping[str, str]) -> None:
    outcome = study(tmp_path, small_study(tmp_path), warmed=warmed)
    assert outcome.code == 0, outcome.output
    results = tmp_path / "results" / "sums"
    curves = pd.read_csv(results / "tables" / "curves.csv", keep_default_na=False)
    own = curves[(curves["policy"] == "short") & (curves["subset"] == "all")]
    # One of three answers to each is right: any of two in two of three cases.
    covered = own[own["selector"] == "pass"]["accuracy"].tolist()
    assert covered == pytest.approx([1 / 3, 2 / 3, 1])
    tokens = own[own["selector"] == "pass"]["tokens_per_problem"].astype(float).tolist()
    assert tokens == pytest.approx([302.5, 605.0, 907.5])
    assert set(own["tokens_estimated"].astype(str).str.lower()) == {"false"}
    assert (own["seconds_per_problem"].astype(float) > 0).all()
    ledger = json.loads((results / "sample/sums/short/logs.ledger.json").read_text())
    assert (ledger["thinking_tokens"], ledger["counts_not_in_files"]) == (1200, 0)
    assert (results / "figures" / "thinking.png").exists()
    report = (results / "report.html").read_text(encoding="utf-8")
    assert "Of 12 solutions that the files grade too, 0 (0.00%) are graded otherwise here" in report
    assert "thinking longer or voting more" in report


def test_another_model_is_refused_before_anything_is_picked(
    tmp_path: Path, warmed: Mapping[str, str]
) -> None:
    config = small_study(
        tmp_path, sources=[source("short", "exact"), source("long", "exact", log={"model": "a/b"})]
    )
    outcome = study(tmp_path, config, warmed=warmed)
    assert outcome.code != 0
    assert "is of the model 'mockllm/model', and log.model is 'a/b'" in outcome.output


@pytest.mark.skipif(not DATA.is_dir(), reason="the published logs are not here")
def test_thinking_or_voting(tmp_path: Path, warmed: Mapping[str, str]) -> None:
    """Independent values: majority of 8, and one answer at medium effort against them."""
    mirror = tmp_path / "mirror" / "feruiloba/miri-fellowship-inference-scaling/data/eci/log_viewer_json"
    mirror.parent.mkdir(parents=True)
    mirror.symlink_to(DATA)
    (tmp_path / "mirror.yaml").write_text(f"mirror: {tmp_path / 'mirror'}\n")
    configs = (str(ROOT / f"configs/{EXPERIMENT}.yaml"), str(tmp_path / "mirror.yaml"))
    outcome = study(tmp_path, *configs, warmed=warmed)
    assert outcome.code == 0, outcome.output
    tables = tmp_path / "results" / EXPERIMENT / "tables"
    curves = pd.read_csv(tables / "curves.csv")
    curves = curves[curves["subset"] == "all"].set_index(["policy", "selector", "budget"])
    for policy, once, voted, tokens in (
        ("gpt-5.1-low", 0.639, 0.759, 4328),
        ("gpt-5.1-medium", 0.856, 0.889, 11280),
        ("gpt-5.1-high", 0.886, 0.922, 21847),
        ("gpt-5.2-low", 0.789, 0.900, 4538),
        ("gpt-5.2-medium", 0.939, 0.956, 7995),
        ("gpt-5.2-high", 0.961, 0.956, 11017),
    ):
        assert curves.loc[(policy, "majority", 1), "accuracy"] == pytest.approx(once, abs=5e-4)
        assert curves.loc[(policy, "majority", 8), "accuracy"] == pytest.approx(voted, abs=5e-4)
        assert curves.loc[(policy, "majority", 1), "tokens_per_problem"] == pytest.approx(tokens, abs=0.6)
    assert ("gpt-5-mini-medium", "majority", 1) not in curves.index
    assert curves.loc[("gpt-5-mini-medium", "pass", 1), "accuracy"] == pytest.approx(282 / 360)
    published = ROOT / "docs" / "studies" / EXPERIMENT
    for name in ("curves.csv", "differences.csv"):
        pd.testing.assert_frame_equal(pd.read_csv(tables / name), pd.read_csv(published / name))
