"""A job that fails on a cluster costs the work of no other job, finished or not."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake_runs import ROOT, snakemake

POLICIES = ("less", "more")
WRITTEN = ("select", "seconds")
CONFIG: dict[str, Any] = {
    "experiment": "failing",
    "seed": 1,
    "datasets": {
        "sums": {
            "source": "file",
            "path": "sums.jsonl",
            "fields": {"prompt": "question", "answer": "answer", "id": "id"},
            "grader": "number",
        }
    },
    "policies": {
        name: {"size": {"parameters": 10**6 * (1 + number), "layers": 2, "attention_width": 8}}
        for number, name in enumerate(POLICIES)
    },
    "generators": {
        "runs": {
            "kind": "import",
            "format": "table",
            "dataset": "sums",
            "characters_per_token": 4.0,
            "sources": [{"policy": name, "files": [{"path": f"{name}.jsonl"}]} for name in POLICIES],
        }
    },
    "budgets": [1, 2],
    "selectors": ["majority", "pass"],
    "headline": {"selector": "majority"},
    "bootstrap": {"draws": 100},
}


def study(folder: Path) -> None:
    sums = [(number, number + 3) for number in range(11, 15)]
    problems = [{"id": f"s{a}", "question": f"What is {a} + {b}?", "answer": a + b} for a, b in sums]
    solutions = [
        {"problem_id": f"s{a}", "steps": [f"The answer is {a + b + wrong}."]}
        for a, b in sums
        for wrong in (0, a % 2)
    ]
    for name, rows in (("sums", problems), *((name, solutions) for name in POLICIES)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False), encoding="utf-8")
    # One job's stage fails, once all before it have ended well.
    planted = '[[ "$*" == *isoflop.stages.select*/less/* ]]'
    (folder / "planted.sh").write_text(
        f'python() {{ if {planted}; then return 1; fi; command python "$@"; }}\n', encoding="utf-8"
    )


def on_a_cluster(folder: Path) -> subprocess.CompletedProcess[str]:
    """Every job is a snakemake of its own, as with SLURM; in the profile's groups, if it has any."""
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text(encoding="utf-8"))
    groups = [
        text
        for key in ("groups", "group-components")
        if key in profile
        for text in (f"--{key}", *profile[key])
    ]
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--until", "select",
        "--executor", "cluster-generic", "--cluster-generic-submit-cmd", "bash", "--jobs", "2",
        "--seconds-between-status-checks", "1",
    ]  # fmt: skip
    return subprocess.run(
        [*command, *groups],
        cwd=folder,
        env=os.environ | {"BASH_ENV": str(folder / "planted.sh")},
        capture_output=True,
        text=True,
        check=False,
    )


def tables(folder: Path) -> set[str]:
    found = folder.glob("results/failing/*/sums/*/runs.parquet")
    return {f"{path.parts[-4]} {path.parts[-2]}" for path in found}


def test_a_failing_job_takes_no_finished_one_with_it(tmp_path: Path, warmed: Mapping[str, str]) -> None:
    pytest.importorskip("snakemake_executor_plugin_cluster_generic")
    study(tmp_path)
    # What the failing job does not need was made before.
    grades = "results/failing/grade/sums/more/runs.parquet"
    snakefile = ("--snakefile", str(ROOT / "Snakefile"), "--cores", "1")
    assert snakemake(tmp_path, *snakefile, grades, environment=warmed).code == 0
    run = on_a_cluster(tmp_path)
    assert run.returncode != 0
    assert "Error in rule select" in run.stderr
    finished = {f"{stage} {name}" for name in POLICIES for stage in ("sample", "grade")}
    assert tables(tmp_path) == {*finished, "select more", "seconds more"}
    # Only that one is left to do.
    (tmp_path / "planted.sh").write_text("", encoding="utf-8")
    again = on_a_cluster(tmp_path)
    assert again.returncode == 0
    assert tables(tmp_path) == {*finished, *(f"{one} {name}" for name in POLICIES for one in WRITTEN)}
    assert "1 of 1 steps (100%) done" in again.stderr


def test_no_rule_is_in_a_group() -> None:
    rules = [path.read_text(encoding="utf-8") for path in (ROOT / "workflow/rules").glob("*.smk")]
    assert len(rules) >= 7
    assert not any("group:" in text for text in rules)


def test_every_command_begins_with_the_set_up() -> None:
    """Of a module's rules, no prefix of all shells can do that."""
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        text = path.read_text(encoding="utf-8")
        if path.stem not in ("common", "models"):
            assert text.count("SETUP") == text.count("python -m isoflop."), path
